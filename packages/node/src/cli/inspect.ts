/** `ingot inspect FILE`: what a backup says of itself; with --verify, whether every byte of it is as it was written. */
import { BackupReader } from '../backup/backup-reader.ts';
import { EXIT_OK } from '../shared/errors.ts';
import { formatBytes, mebibytes } from '../shared/bytes.ts';
import { ProgressLine } from './progress-line.ts';
import { textTable } from './text-table.ts';
import type { OptionValues } from './values.ts';
import { unixMs } from './wall-clock.ts';

export async function inspect(values: OptionValues, operands: readonly string[]): Promise<number> {
  const reader = new BackupReader(operands[0]);
  const progress = new ProgressLine(unixMs);
  const verified = values.flag('verify');
  try {
    let bytes = 0;
    for (const read of verified ? reader.verify() : []) {
      bytes += read;
      progress.show(() => `compared ${mebibytes(bytes)} of ${mebibytes(reader.fileBytes)}`);
    }
  } finally {
    progress.end();
    reader.close();
  }
  const text = values.flag('json')
    ? JSON.stringify(jsonOf(reader, verified), null, 2)
    : textOf(reader, verified);
  process.stdout.write(`${text}\n`);
  return EXIT_OK;
}

function jsonOf({ head, foot, parts, fileBytes }: BackupReader, verified: boolean): object {
  const { offsets: _, ...sums } = foot;
  return { ...head, ...sums, fileBytes, verified, parts };
}

function textOf({ head, foot, parts, fileBytes }: BackupReader, verified: boolean): string {
  const time = (ms: number): string => new Date(ms).toISOString();
  const lines = [
    `backup of cluster ${head.clusterId}, by ${head.program}`,
    `from ${time(head.startedAtMs)} to ${time(foot.endedAtMs)}`,
    `${foot.keys} records in ${head.partitions} partitions, ${mebibytes(foot.usedBytes)} of a capacity of ` +
      `${formatBytes(head.capacityLimitBytes)}; values up to ${formatBytes(head.valueMaxBytes)}`,
    `${mebibytes(fileBytes)}; images of store format ${head.storeFormat}`,
    verified
      ? `all ${foot.chunks} chunks are as they were written`
      : 'checksums of chunks not compared: --verify does',
  ];
  const rows = parts.map((part) =>
    [part.partition, part.keys, mebibytes(part.usedBytes), part.epoch, part.seq, part.node].map(
      String,
    ),
  );
  const table = textTable(['partition', 'records', 'used', 'epoch', 'seq', 'read from'], rows);
  return [...lines, '', table].join('\n');
}
