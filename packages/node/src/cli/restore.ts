/** `ingot restore --from FILE`: fills a running, empty cluster with the records of a backup, whatever its partitions
 *  and capacity are. The whole file is compared with its checksums before the first record is written. */
import { failures, type ImportCounts, newCounts } from '../import/counts.ts';
import { BackupReader } from '../backup/backup-reader.ts';
import { type BackupRecord, recordsOf } from '../backup/records.ts';
import { refill } from '../backup/refill.ts';
import { durationText } from '../import/texts.ts';
import { PatientClient } from '../resp/patient-client.ts';
import { mebibytes } from '../shared/bytes.ts';
import { EXIT_FOUND_WRONG, EXIT_OK, refusal, usageError } from '../shared/errors.ts';
import { hostPort } from './address.ts';
import { passwordFrom } from './password.ts';
import { ProgressLine } from './progress-line.ts';
import { clientAddress } from './resp-address.ts';
import type { OptionValues } from './values.ts';
import { unixMs } from './wall-clock.ts';

const CONNECTIONS = 4;

export async function restore(values: OptionValues): Promise<number> {
  const path = values.text('from');
  if (path === null) throw usageError('--from FILE is missing: the backup to restore');
  const to = clientAddress(values.text('to') ?? '', passwordFrom(values));
  const startedMs = unixMs();
  const progress = new ProgressLine(unixMs);
  const reader = new BackupReader(path);
  const clients = Array.from({ length: CONNECTIONS }, () => {
    const name = `the node at ${hostPort(to.host, to.port)}`;
    const advice = 'check that it runs and that --to names its client port';
    return new PatientClient({ address: to, name, advice });
  });
  const counts = newCounts();
  try {
    await refuseUnlessEmpty(clients[0], values.flag('replace'));
    let bytes = 0;
    for (const read of reader.verify()) {
      bytes += read;
      progress.show(() => `read ${mebibytes(bytes)} of ${mebibytes(reader.fileBytes)}`);
    }
    await refill(clients, allRecords(reader, counts), counts, () => {
      progress.show(
        () => `${counts.seen} of ${reader.foot.keys} records, ${mebibytes(counts.bytes)}`,
      );
    });
  } finally {
    progress.end();
    for (const client of clients) client.close();
    reader.close();
  }
  const seconds = (unixMs() - startedMs) / 1_000;
  const text = values.flag('json')
    ? JSON.stringify({ ...summary(counts), seconds }, null, 2)
    : reportText(counts, seconds);
  process.stdout.write(`${text}\n`);
  return failures(counts) > 0 ? EXIT_FOUND_WRONG : EXIT_OK;
}

function* allRecords(reader: BackupReader, counts: ImportCounts): Generator<BackupRecord> {
  for (const { partition } of reader.parts) {
    yield* recordsOf(reader, partition, unixMs(), () => counts.gone++);
  }
}

async function refuseUnlessEmpty(client: PatientClient, replace: boolean): Promise<void> {
  const [keys] = await client.ask([['DBSIZE']]);
  if (replace || keys === 0) return;
  const count = typeof keys === 'number' ? `${keys} keys` : 'something';
  throw refusal(
    'NOT_EMPTY',
    `the cluster holds ${count}; restore into an empty one, or give --replace to write over them`,
  );
}

function summary({ imported, bytes, gone, failed }: ImportCounts): object {
  return { restored: imported, bytes, expired: gone, failed };
}

function reportText({ imported, bytes, gone, failed }: ImportCounts, seconds: number): string {
  const count = imported.toLocaleString('en-US');
  const lines = [`restored ${count} records, ${mebibytes(bytes)}, in ${durationText(seconds)}`];
  if (gone > 0) lines.push(`expired since, left out: ${gone.toLocaleString('en-US')}`);
  for (const [reason, each] of Object.entries(failed)) {
    lines.push(`FAILED: ${each.count} (first ${JSON.stringify(each.key)}): ${reason}`);
  }
  return lines.join('\n');
}
