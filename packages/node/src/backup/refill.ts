/** Writes records into a running cluster, over several connections: batches of a bounded size, one at a time on each. */
import type { Command } from '../resp/resp-client.ts';
import { ReplyError } from '../resp/reply-value.ts';
import { countFailure, type ImportCounts } from '../import/counts.ts';
import type { Server } from '../import/importer.ts';
import type { BackupRecord } from './records.ts';

const BATCH_RECORDS_MAX = 500;
const BATCH_BYTES_MAX = 1_048_576;

/** `records` is shared by all connections. */
export async function refill(
  servers: readonly Server[],
  records: Iterator<BackupRecord>,
  counts: ImportCounts,
  batchDone: () => void,
): Promise<void> {
  await Promise.all(
    servers.map(async (server) => {
      for (let batch = next(records); batch.length > 0; batch = next(records)) {
        await write(server, batch, counts);
        batchDone();
      }
    }),
  );
}

function next(records: Iterator<BackupRecord>): BackupRecord[] {
  const batch: BackupRecord[] = [];
  for (let bytes = 0; batch.length < BATCH_RECORDS_MAX && bytes < BATCH_BYTES_MAX; ) {
    const { done, value } = records.next();
    if (done === true) break;
    batch.push(value);
    bytes += value.key.length + value.value.length;
  }
  return batch;
}

async function write(
  server: Server,
  batch: readonly BackupRecord[],
  counts: ImportCounts,
): Promise<void> {
  counts.seen += batch.length;
  const replies = await server.ask(batch.map(setOf));
  batch.forEach(({ key, value }, i) => {
    const reply = replies[i];
    if (reply instanceof ReplyError) countFailure(counts, key, reply.text);
    else {
      counts.imported++;
      counts.bytes += key.length + value.length;
    }
  });
}

function setOf({ key, value, expiresAtMs }: BackupRecord): Command {
  const expiry = expiresAtMs === 0 ? [] : ['PXAT', String(expiresAtMs)];
  return ['SET', key, value, ...expiry];
}
