/** npm run bench:stream: what a copy costs when it travels as raw bytes, and when it does not.
 *
 *  Two tables, both sides of each in one run on one machine, in turns, medians of rounds: the raw stream
 *  of an image beside iperf3, and the same records as JSON, msgpack, v8.serialize, Cap'n Proto and
 *  raw chunks. */
import { availableParallelism, cpus } from 'node:os';
import { exit } from 'node:process';
import { CODECS } from './codecs/index.ts';
import { hasIperf3 } from './iperf3.ts';
import { helpText, parseOptions, type StreamOptions } from './options.ts';
import { measureStreams, STREAM_ROWS, type StreamFigures } from './raw-stream.ts';
import { type Cell, codecName, measureBatch } from './serialization.ts';
import { figure, textTable } from './text-table.ts';

const HEAD: readonly string[] = [
  '',
  'MiB/s',
  'raw is',
  'sender CPU s/GiB',
  'receiver CPU s/GiB',
  'p50 ms',
  'p99 ms',
  'messages',
  'bytes sent per byte',
];

const options = parseOptions(process.argv.slice(2));
if (options.help) {
  console.log(helpText());
  exit(0);
}
const { markdown } = options;
const cores = `${availableParallelism()} x ${cpus()[0].model.trim()}`;
console.log(`${cores}, Node ${process.versions.node}; medians of ${options.rounds} rounds`);
if (options.raw) {
  if (hasIperf3()) await rawStream(options);
  else exit(1);
}
if (options.table) await serializationTable(options);

async function rawStream({ rounds, seconds }: StreamOptions): Promise<void> {
  const figures = await measureStreams(rounds, seconds);
  const rows = STREAM_ROWS.map(({ name, goal }, i) =>
    rawStreamRow(name, goal, figures[i], figures[0]),
  );
  console.log('\nRaw stream, one TCP connection on loopback, an image of 256 MiB in chunks:\n');
  const cpu = ['sender CPU s/GiB', 'receiver CPU s/GiB'];
  console.log(textTable(['', 'GB/s', 'of iperf3', 'goal', ...cpu], rows, markdown));
}

function rawStreamRow(
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

async function serializationTable(plan: StreamOptions): Promise<void> {
  console.log(
    '\nRecords of 64 bytes: 3 f64, 1 u64, 8 characters, 6 u32. MiB and GiB count those 64 bytes,',
  );
  console.log(
    'whatever a format makes of them. Every receiver sums every field of every record.\n',
  );
  for (const id of plan.codecs) {
    const { name, shape } = CODECS[id];
    console.log(markdown ? `- ${name}: ${shape}` : `  ${name.padEnd(24)}${shape}`);
  }
  for (const batchBytes of plan.batchesBytes) {
    const cells = await measureBatch(batchBytes, plan);
    const raw = cells.find(({ codec }) => codec === 'raw');
    console.log(`\nBatches of ${sizeText(batchBytes)}:\n`);
    console.log(
      textTable(
        HEAD,
        cells.map((cell) => cellRow(cell, raw)),
        markdown,
      ),
    );
  }
}

function cellRow(cell: Cell, raw: Cell | undefined): string[] {
  const ratio = raw === undefined ? '' : `${figure(raw.mibPerSecond / cell.mibPerSecond)}x`;
  return [
    codecName(cell.codec),
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

function sizeText(bytes: number): string {
  return bytes < 2 ** 20 ? `${bytes / 1_024} KiB` : `${bytes / 2 ** 20} MiB`;
}
