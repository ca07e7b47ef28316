/** Typed records beside the same records as JSON text in a Map: nanoseconds of CPU per operation on one thread, both sides
 *  in one run.
 *    node --conditions=source bench/typed.ts [--keys 10000] [--rounds 5] [--ops 400000] [--redo]
 *
 *  Every operation takes the next key of a shuffled order. `plain` records are the fixed fields alone; `tailed` ones have a
 *  JSON tail of about 400 bytes behind them, which is a property of the object on the side of JSON. `by key` finds the record
 *  anew, `of a record` uses a handle. With --redo each change is also written to the redo ring, as in a node. Rounds take turns;
 *  each figure is the best of them: the machine has other things to do, and never makes anything faster. */
import { cpuUsage } from 'node:process';
import { parseArgs } from 'node:util';
import { bytes, createMap, f64, json, struct, u32, u64 } from '../packages/store/src/index.ts';

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '5' },
    ops: { type: 'string', default: '400000' },
    redo: { type: 'boolean', default: false },
  },
});
const keyCount = Number(values.keys);
const rounds = Number(values.rounds);
const ops = Number(values.ops);

const FIELDS = { bid: f64, ask: f64, seq: u64, symbol: bytes(8), trades: u32, lots: u32 };
const Plain = struct(FIELDS);
const Tailed = struct({ ...FIELDS, more: json<{ levels: number[][]; venue: string }>() });

const keys = Array.from({ length: keyCount }, (_, i) => `quote:${String(i).padStart(10, '0')}`);
let state = 12_345;
for (let i = keyCount - 1; i > 0; i--) {
  state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
  const j = (state >>> 1) % (i + 1);
  [keys[i], keys[j]] = [keys[j], keys[i]];
}

const more = {
  levels: Array.from({ length: 20 }, (_, i) => [1.084_21 + i / 10_000, 1_000_000 + i * 250_000]),
  venue: 'XLON',
};
const record = { bid: 1.084_21, ask: 1.084_29, symbol: 'EURUSD', trades: 17, lots: 250 };

const map = createMap({
  ...{ capacityBytes: 64 << 20, partitions: 1, clock: Date.now },
  redo: values.redo,
});
const plain = map.typed(Plain);
const tailed = map.typed(Tailed);
const plainTexts = new Map<string, string>();
const tailedTexts = new Map<string, string>();
for (const key of keys) {
  plain.set(key, { ...record, seq: 7n });
  tailed.set(`t${key}`, { ...record, seq: 7n, more });
  plainTexts.set(key, JSON.stringify({ ...record, seq: 7 }));
  tailedTexts.set(`t${key}`, JSON.stringify({ ...record, seq: 7, more }));
}
const tailedKeys = keys.map((key) => `t${key}`);
const plainRecords = keys.map((key) => plain.record(key));
const tailedRecords = tailedKeys.map((key) => tailed.record(key));

interface Counted {
  trades: number;
  seq: number;
}

function incrementText(texts: Map<string, string>, key: string, name: 'trades' | 'seq'): number {
  const value = JSON.parse(texts.get(key) ?? '') as Counted;
  value[name]++;
  texts.set(key, JSON.stringify(value));
  return value[name];
}

function readText(texts: Map<string, string>, key: string): number {
  return (JSON.parse(texts.get(key) ?? '') as Counted).trades;
}

/** Keeps what is read from being optimized away. */
const junk = { sum: 0 };

interface Line {
  readonly name: string;
  readonly typed: (i: number) => number | bigint | null;
  readonly text: (i: number) => number;
}

const LINES: readonly Line[] = [
  {
    name: 'increment by key (u32), plain',
    typed: (i) => plain.increment(keys[i], 'trades', 1),
    text: (i) => incrementText(plainTexts, keys[i], 'trades'),
  },
  {
    name: 'increment by key (u64 by a bigint), plain',
    typed: (i) => plain.increment(keys[i], 'seq', 1n),
    text: (i) => incrementText(plainTexts, keys[i], 'seq'),
  },
  {
    name: 'increment by key (u64 by a number), plain',
    typed: (i) => plain.increment(keys[i], 'seq', 1),
    text: (i) => incrementText(plainTexts, keys[i], 'seq'),
  },
  {
    name: 'increment of a record (u64 by a number), plain',
    typed: (i) => plainRecords[i].increment('seq', 1),
    text: (i) => incrementText(plainTexts, keys[i], 'seq'),
  },
  {
    name: 'increment by key (u32), tailed',
    typed: (i) => tailed.increment(tailedKeys[i], 'trades', 1),
    text: (i) => incrementText(tailedTexts, tailedKeys[i], 'trades'),
  },
  {
    name: 'increment of a record (u64 by a number), tailed',
    typed: (i) => tailedRecords[i].increment('seq', 1),
    text: (i) => incrementText(tailedTexts, tailedKeys[i], 'seq'),
  },
  {
    name: 'read of one field, plain',
    typed: (i) => plain.read(keys[i], 'trades'),
    text: (i) => readText(plainTexts, keys[i]),
  },
  {
    name: 'read of one field, tailed',
    typed: (i) => tailed.read(tailedKeys[i], 'trades'),
    text: (i) => readText(tailedTexts, tailedKeys[i]),
  },
];

function nanoseconds(count: number, run: (i: number) => unknown): number {
  const before = cpuUsage();
  let kept = 0;
  for (let i = 0, at = 0; i < count; i++) {
    if (run(at) !== null) kept++;
    if (++at === keyCount) at = 0;
  }
  const { user, system } = cpuUsage(before);
  junk.sum += kept;
  return ((user + system) * 1_000) / count;
}

const best = LINES.map(() => ({ typed: Infinity, text: Infinity }));
for (let round = 0; round < rounds; round++) {
  LINES.forEach((line, i) => {
    best[i].typed = Math.min(best[i].typed, nanoseconds(ops, line.typed));
    best[i].text = Math.min(best[i].text, nanoseconds(Math.ceil(ops / 10), line.text));
  });
}
const broken = map.verify();
if (broken !== null) throw new Error(broken);
const textBytes = (texts: Map<string, string>): number =>
  texts.get(texts.keys().next().value ?? '')?.length ?? 0;
console.log(
  `${keyCount} keys; JSON texts of ${textBytes(plainTexts)} and ${textBytes(tailedTexts)} bytes`,
);
LINES.forEach(({ name }, i) => {
  const { typed, text } = best[i];
  const times = (text / typed).toFixed(1);
  console.log(
    `${name.padEnd(52)} ${typed.toFixed(0).padStart(6)} ns  JSON ${text.toFixed(0).padStart(6)} ns  ${times}x`,
  );
});
