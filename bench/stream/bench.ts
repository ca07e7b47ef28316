/** npm run bench:stream: what a copy costs when it travels as raw bytes, and when it does not.
 *
 *  Three tables: the raw stream of an image beside iperf3; the same records as JSON, msgpack,
 *  v8.serialize, Cap'n Proto and raw chunks; and, counted rather than timed, what raw bytes
 *  carry along. Both sides of what is timed are measured in one run on one machine, in turns;
 *  figures are medians of rounds. */
import { availableParallelism, cpus } from 'node:os';
import { CODECS } from './codecs/index.ts';
import { hasIperf3 } from './iperf3.ts';
import { helpText, parseOptions, type StreamOptions } from './options.ts';
import { measureStreams, STREAM_ROWS, type StreamFigures } from './raw-stream.ts';
import { type Cell, measureBatch } from './serialization.ts';
import { measureSlack, measureZstd, VALUE_SIZES } from './slack.ts';
import { figure, textTable } from './text-table.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

await main();

async function main(): Promise<void> {
  let options: StreamOptions;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = EXIT_USAGE;
    return;
  }
  if (options.help) return console.log(helpText());
  const cores = `${availableParallelism()} x ${cpus()[0].model.trim()}`;
  console.log(`${cores}, Node ${process.versions.node}; medians of ${options.rounds} rounds`);
  if (options.raw && hasIperf3()) await rawStream(options);
  else if (options.raw) process.exitCode = EXIT_FAILED;
  if (options.table) await serializationTable(options);
  if (options.slack) {
    slackTable(options);
    zstdTable(options);
  }
}

async function rawStream({ rounds, seconds, markdown }: StreamOptions): Promise<void> {
  const figures = await measureStreams(rounds, seconds);
  const rows = STREAM_ROWS.map(({ name, goal }, i) =>
    streamRow(name, goal, figures[i], figures[0]),
  );
  console.log('\nRaw stream, one TCP connection on loopback, an image of 256 MiB in chunks:\n');
  const cpu = ['sender CPU s/GiB', 'receiver CPU s/GiB'];
  console.log(textTable(['', 'GB/s', 'of iperf3', 'goal', ...cpu], rows, markdown));
}

function streamRow(
  name: string,
  goal: number | null,
  figures: StreamFigures,
  yardstick: StreamFigures,
): string[] {
  const { gbPerSecond, senderCpuPerGib, receiverCpuPerGib } = figures;
  const ratio = `${(gbPerSecond / yardstick.gbPerSecond).toFixed(2)}x`;
  const wanted = goal === null ? '' : `${goal}x`;
  const cpu = [figure(senderCpuPerGib), figure(receiverCpuPerGib)];
  return [name, figure(gbPerSecond), ratio, wanted, ...cpu];
}

async function serializationTable(options: StreamOptions): Promise<void> {
  const { codecs, batchesBytes, markdown } = options;
  console.log(
    '\nRecords of 64 bytes (3 f64, 1 u64, 8 characters, 6 u32). MiB and GiB count those 64',
  );
  console.log(
    'bytes, whatever a format makes of them. Every receiver sums every field of every record.\n',
  );
  for (const id of codecs) {
    const { name, shape } = CODECS[id];
    console.log(markdown ? `- ${name}: ${shape}` : `  ${name.padEnd(24)}${shape}`);
  }
  const head = ['', 'MiB/s', 'raw is', 'sender CPU s/GiB', 'receiver CPU s/GiB'];
  const headOfTimes = ['p50 ms', 'p99 ms', 'messages', 'bytes sent per byte'];
  for (const batchBytes of batchesBytes) {
    const cells = await measureBatch(batchBytes, options);
    const raw = cells.find(({ codec }) => codec === 'raw');
    const rows = cells.map((cell) => cellRow(cell, raw));
    console.log(`\nBatches of ${sizeText(batchBytes)}:\n`);
    console.log(textTable([...head, ...headOfTimes], rows, markdown));
  }
}

function cellRow(cell: Cell, raw: Cell | undefined): string[] {
  const ratio = raw === undefined ? '' : `${figure(raw.mibPerSecond / cell.mibPerSecond)}x`;
  return [
    CODECS[cell.codec].name,
    figure(cell.mibPerSecond),
    ratio,
    figure(cell.senderCpuPerGib),
    figure(cell.receiverCpuPerGib),
    figure(cell.p50Ms),
    figure(cell.p99Ms),
    String(cell.messages),
    cell.wireRatio.toFixed(2),
  ];
}

function slackTable({ markdown }: StreamOptions): void {
  const rows = VALUE_SIZES.map((valueBytes) => {
    const { recordsPerChunk, bulkPerByte, redoBytes, evenAt } = measureSlack(valueBytes);
    const counted = [figure(recordsPerChunk), bulkPerByte.toFixed(2), String(redoBytes)];
    return [`16 + ${valueBytes} bytes`, ...counted, String(evenAt)];
  });
  console.log(
    '\nWhat raw bytes carry along: a bulk of a freshly filled image, and one overwritten value.\n',
  );
  const head = ['key + value', 'records per chunk', 'bulk bytes per byte', 'redo bytes', 'even at'];
  console.log(textTable(head, rows, markdown));
  console.log(
    '\neven at: from so many changed records in a chunk on, the chunk is less than their redo.',
  );
}

function zstdTable({ codecs, markdown }: StreamOptions): void {
  const rows = codecs.map((id) => {
    const { plain, zstd } = measureZstd(id);
    return [CODECS[id].name, plain.toFixed(2), zstd.toFixed(2)];
  });
  console.log(
    '\nBytes per byte of records of the serialization table, as they are and after zstd:\n',
  );
  console.log(textTable(['', 'plain', 'zstd'], rows, markdown));
}

function sizeText(bytes: number): string {
  return bytes < 2 ** 20 ? `${bytes / 1_024} KiB` : `${bytes / 2 ** 20} MiB`;
}
