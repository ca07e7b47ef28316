/** `ingot verify`: proves with CHECK markers that every copy of every chunk is equal, while writes
 *  go on, and has what differs repaired where its primary is supported. Findings go to stdout, progress to stderr. */
import type { ControlClient } from '../control/control-client.ts';
import type { VerifyProgress, VerifyReport } from '../control/types.ts';
import { EXIT_FOUND_WRONG, EXIT_OK, EXIT_UNREACHABLE } from '../shared/errors.ts';
import { askedFrom, askNode } from './ask.ts';
import type { OptionValues } from './values.ts';

export async function verify(values: OptionValues): Promise<number> {
  const report = await askNode(askedFrom(values, process.env), collect);
  const text = values.flag('json') ? JSON.stringify(report, null, 2) : reportText(report);
  process.stdout.write(`${text}\n`);
  return exitCodeOf(report);
}

/** A difference outweighs a copy that could not be checked. */
export function exitCodeOf({ differences, notChecked }: VerifyReport): number {
  if (differences.length > 0) return EXIT_FOUND_WRONG;
  return notChecked.length > 0 ? EXIT_UNREACHABLE : EXIT_OK;
}

export function reportText(report: VerifyReport): string {
  const { chunksChecked, differences, notChecked } = report;
  const lines = differences.map(
    ({ partition, chunk, node, seq, repaired, why }) =>
      `DIFFERENT: partition ${partition} chunk ${chunk} on ${node} at seq ${seq}: ` +
      (repaired ? 'repaired' : `NOT repaired: ${why}`),
  );
  for (const { partition, node, why } of notChecked) {
    lines.push(`NOT CHECKED: partition ${partition} on ${node}: ${why}`);
  }
  return [...lines, `${chunksChecked} chunks of followers compared; ${verdictOf(report)}`].join(
    '\n',
  );
}

function verdictOf({ differences, notChecked }: VerifyReport): string {
  const repaired = differences.filter((difference) => difference.repaired).length;
  if (notChecked.length > 0 || repaired < differences.length) {
    return 'not all copies are proven equal';
  }
  if (differences.length === 0) return 'all copies are equal';
  return `${differences.length} differed and ${repaired === 1 ? 'is' : 'are'} equal again`;
}

async function collect(client: ControlClient): Promise<VerifyReport> {
  const total: VerifyReport = { chunksChecked: 0, differences: [], notChecked: [] };
  for await (const { progress, found } of client.verify([])) {
    total.chunksChecked += found.chunksChecked;
    total.differences.push(...found.differences);
    total.notChecked.push(...found.notChecked);
    showProgress(progress);
  }
  return total;
}

/** On a terminal one line that is rewritten, else a line each. */
function showProgress({ partitionsDone, partitionsTotal }: VerifyProgress): void {
  const text = `verified ${partitionsDone} of ${partitionsTotal} partitions`;
  const isLast = partitionsDone === partitionsTotal;
  process.stderr.write(process.stderr.isTTY && !isLast ? `${text}\r` : `${text}\n`);
}
