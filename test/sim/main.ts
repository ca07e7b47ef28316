/** npm run sim -- [--cluster [--part P] [--nodes 2|3|5]] [--seed S] [--seeds N] [--hours H] [--trace] */
import { parseArgs } from 'node:util';
import { type Part, PARTS, simulateCluster } from './cluster/simulation.ts';
import { simulate, type SimulationReport, SimulationFailed } from './simulation.ts';

const hourMs = 3_600_000;

const { values } = parseArgs({
  options: {
    cluster: { type: 'boolean', default: false },
    part: { type: 'string', default: PARTS[0] },
    nodes: { type: 'string' },
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    hours: { type: 'string', default: '0.1' },
    trace: { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const count = Number(values.seeds);
const hours = Number(values.hours);
const nodes = values.nodes === undefined ? null : Number(values.nodes);
const part = PARTS.find((name) => name === values.part);
if (part === undefined) throw new Error(`--part is one of ${PARTS.join(', ')}`);
const startedMs = performance.now();
const counts = new Map<string, number>();
let simulatedMs = 0;

async function run(part: Part, seed: number): Promise<SimulationReport> {
  const print = values.trace ? (line: string): void => console.log(line) : null;
  const options = { seed, simulatedMs: hours * hourMs, print };
  return values.cluster ? simulateCluster({ ...options, part, nodes }) : simulate(options);
}

function replayOf(seed: number): string {
  const nodesText = nodes === null ? '' : ` --nodes ${nodes}`;
  const cluster = values.cluster ? `--cluster --part ${part}${nodesText} ` : '';
  return `npm run sim -- ${cluster}--seed ${seed} --hours ${hours} --trace`;
}

for (let seed = first; seed < first + count; seed++) {
  try {
    const report = await run(part, seed);
    simulatedMs += report.simulatedMs;
    for (const [what, times] of report.counts) counts.set(what, (counts.get(what) ?? 0) + times);
    const hoursDone = (report.simulatedMs / hourMs).toFixed(2);
    console.log(`seed ${seed}: ${hoursDone} h, ${report.events} events, trace ${report.hash}`);
  } catch (error) {
    if (!(error instanceof SimulationFailed)) throw error;
    for (const line of error.lastLines) console.log(line);
    console.log(`BROKEN ${error.claim}: ${error.message}`);
    console.log(`replay: ${replayOf(seed)}`);
    process.exitCode = 1;
    break;
  }
}

for (const [what, times] of [...counts].sort(([a], [b]) => a.localeCompare(b))) {
  console.log(`${String(times).padStart(9)} ${what}`);
}
const minutes = (performance.now() - startedMs) / 60_000;
const rate = simulatedMs / hourMs / minutes;
console.log(`${rate.toFixed(2)} simulated hours per wall minute`);
