/** npm run sim -- [--seed S] [--seeds N] [--hours H] [--trace] */
import { parseArgs } from 'node:util';
import { simulate, SimulationFailed } from './simulation.ts';

const hourMs = 3_600_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    hours: { type: 'string', default: '0.1' },
    trace: { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const count = Number(values.seeds);
const hours = Number(values.hours);
const startedMs = performance.now();
const counts = new Map<string, number>();
let simulatedMs = 0;

for (let seed = first; seed < first + count; seed++) {
  try {
    const print = values.trace ? (line: string): void => console.log(line) : null;
    const report = simulate({ seed, simulatedMs: hours * hourMs, print });
    simulatedMs += report.simulatedMs;
    for (const [what, times] of report.counts) counts.set(what, (counts.get(what) ?? 0) + times);
    const hoursDone = (report.simulatedMs / hourMs).toFixed(2);
    console.log(`seed ${seed}: ${hoursDone} h, ${report.events} events, trace ${report.hash}`);
  } catch (error) {
    if (!(error instanceof SimulationFailed)) throw error;
    for (const line of error.lastLines) console.log(line);
    console.log(`BROKEN ${error.claim}: ${error.message}`);
    console.log(`replay: npm run sim -- --seed ${seed} --hours ${hours} --trace`);
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
