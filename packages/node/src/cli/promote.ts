/** `ingot promote PARTITION NODE`: names who leads a partition. */
import { EXIT_OK, usageError } from '../shared/errors.ts';
import { nodeIdPattern } from '../shared/map.ts';
import { askedFrom, askNode } from './ask.ts';
import type { OptionValues } from './values.ts';

export async function promote(values: OptionValues, operands: readonly string[]): Promise<number> {
  const [partition, node] = [partitionFrom(operands[0]), nodeFrom(operands[1])];
  const acceptLoss = values.flag('accept-loss');
  const { before, after } = await askNode(askedFrom(values, process.env), async (client) => {
    const { map } = await client.status('node');
    await client.promote(partition, node, acceptLoss);
    return { before: map.placement[partition], after: (await client.status('node')).map };
  });
  const { epoch, lossy, lost } = after.placement[partition];
  if (values.flag('json')) {
    process.stdout.write(`${JSON.stringify({ partition, node, epoch, lossy, lost }, null, 2)}\n`);
    return EXIT_OK;
  }
  const from = before.primary === null ? 'nobody led it' : `${before.primary} led it`;
  const was = before.primary === node ? 'and did before' : `${from} before`;
  process.stdout.write(`${node} leads partition ${partition} at epoch ${epoch}; ${was}\n`);
  return EXIT_OK;
}

export function partitionFrom(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw usageError(`PARTITION must be the number of a partition, not "${text}"`);
}

export function nodeFrom(text: string): string {
  if (nodeIdPattern.test(text)) return text;
  throw usageError(`NODE must be the id of a node, such as n1, not "${text}"`);
}
