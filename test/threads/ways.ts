/** What threads do to the few keys that they share: every call of a map that reads or writes one of them, each with the
 *  operation (calls.ts) that it should be. */
import { type Pin, type SharedMap, struct, tail, type TypedMap, u32, u64 } from '@ingot/store';
import { numbersOf, TornValue, valueOf } from './blocks.ts';
import type { Operation, State } from './calls.ts';

export const KEYS = [
  { name: 'small', kind: 'blocks', blockBytes: 24, weight: 4 },
  { name: 'middle', kind: 'blocks', blockBytes: 5_000, weight: 4 },
  { name: 'large', kind: 'blocks', blockBytes: 40_000, weight: 2 },
  { name: 'count', kind: 'counter', blockBytes: 0, weight: 2 },
  { name: 'counter', kind: 'counter', blockBytes: 0, weight: 2 },
  { name: 'record', kind: 'record', blockBytes: 200, weight: 4 },
] as const;
export type Key = (typeof KEYS)[number];

/** Only ever added to: the sum tells whether one was lost. */
export const COUNT_KEY = 'count';
const BLOCKS_MAX = 4;
const COUNTER_MAX = 1_000;
/** `mark` and `check` are written together: check = ~mark. Its items: count, mark, note, number of the tail's block. */
export const Tally = struct({
  count: u64,
  mark: u32,
  check: u32,
  note: u32,
  spare: u32,
  body: tail(),
});
export type TallyMap = TypedMap<(typeof Tally)['shape']>;

/** What a thread has at hand. */
export interface Hand {
  readonly map: SharedMap;
  readonly records: TallyMap;
  readonly random: () => number;
  /** What it saw last of the key: a good guess. */
  readonly seen: (key: Key) => State;
  /** Numbers of new blocks. */
  readonly fresh: (count: number) => string;
  readonly hold: (pin: Pin, bytes: Buffer) => void;
}

export interface Way {
  readonly weight: number;
  readonly does: 'reads' | 'writes';
  readonly run: (hand: Hand, key: Key) => Operation;
}

const stateOf = (value: Buffer | null, { blockBytes }: Key): State =>
  value === null ? null : numbersOf(value, blockBytes);

// ------------------------------------------------------------ what a thread does to a key of each kind

const freshValue = ({ fresh, random }: Hand): string =>
  fresh(1 + Math.floor(random() * BLOCKS_MAX));

/** Longer than values get. */
const INTO = Buffer.alloc(32 * 40_000);

/** Pins the value, and lets the thread hold the pin for a while. */
function pinned({ map, hold }: Hand, key: Key): Operation {
  const pin = map.pin(key.name);
  if (pin === null) return { kind: 'get', result: null };
  const bytes = Buffer.concat([...pin.views]);
  hold(pin, bytes);
  return { kind: 'get', result: stateOf(bytes, key) };
}

const BLOCK_WAYS: readonly Way[] = [
  {
    ...{ weight: 20, does: 'reads' },
    run: ({ map }, key) => ({ kind: 'get', result: stateOf(map.get(key.name), key) }),
  },
  {
    ...{ weight: 8, does: 'reads' },
    run: ({ map }, key) => {
      const bytes = map.getInto(key.name, INTO);
      return { kind: 'get', result: bytes < 0 ? null : stateOf(INTO.subarray(0, bytes), key) };
    },
  },
  {
    ...{ weight: 6, does: 'reads' },
    run: ({ map, random }, key) => {
      const from = Math.floor(random() * BLOCKS_MAX);
      const part = map.getRange(key.name, from * key.blockBytes, (from + 2) * key.blockBytes);
      return { kind: 'get', from, to: from + 2, result: stateOf(part, key) };
    },
  },
  {
    ...{ weight: 8, does: 'reads' },
    run: pinned,
  },
  {
    ...{ weight: 14, does: 'writes' },
    run: (hand, key) => {
      const value = freshValue(hand);
      const result = hand.map.set(key.name, valueOf(value, key.blockBytes));
      return { kind: 'set', value, result };
    },
  },
  {
    ...{ weight: 6, does: 'writes' },
    run: (hand, key) => {
      const when = hand.random() < 0.5 ? 'absent' : 'there';
      const value = freshValue(hand);
      const options = when === 'absent' ? { nx: true } : { xx: true };
      const result = hand.map.set(key.name, valueOf(value, key.blockBytes), options);
      return { kind: 'set', value, when, result };
    },
  },
  {
    ...{ weight: 4, does: 'writes' },
    run: (hand, key) => {
      const value = freshValue(hand);
      const before = hand.map.exchange(key.name, valueOf(value, key.blockBytes));
      return { kind: 'exchange', value, result: stateOf(before, key) };
    },
  },
  {
    ...{ weight: 8, does: 'writes' },
    run: (hand, key) => {
      const expected = hand.seen(key);
      const value = freshValue(hand);
      const was = expected === null ? null : valueOf(expected, key.blockBytes);
      const result = hand.map.compareAndSet(key.name, was, valueOf(value, key.blockBytes));
      return { kind: 'compareAndSet', expected, value, result };
    },
  },
  {
    ...{ weight: 4, does: 'writes' },
    run: ({ map }, key) => ({ kind: 'delete', result: map.delete(key.name) }),
  },
  {
    ...{ weight: 4, does: 'writes' },
    run: (hand, key) => {
      const item = hand.fresh(1);
      const bytes = hand.map.append(key.name, valueOf(item, key.blockBytes));
      return { kind: 'append', item, result: bytes / key.blockBytes };
    },
  },
  {
    ...{ weight: 8, does: 'writes' },
    run: (hand, key) => {
      const item = hand.fresh(1);
      const at = Math.floor(hand.random() * BLOCKS_MAX);
      const block = valueOf(item, key.blockBytes);
      const bytes = hand.map.setRange(key.name, at * key.blockBytes, block);
      return { kind: 'put', at, item, result: bytes / key.blockBytes };
    },
  },
];

/** The only ways to treat COUNT_KEY. */
const COUNT_WAYS: readonly Way[] = [
  {
    ...{ weight: 30, does: 'writes' },
    run: ({ map }, { name }) => ({
      ...{ kind: 'add', at: 0, by: 1 },
      result: Number(map.increment(name)),
    }),
  },
  {
    ...{ weight: 10, does: 'reads' },
    run: ({ map }, { name }) => ({ kind: 'get', result: map.get(name)?.toString() ?? null }),
  },
];

const COUNTER_WAYS: readonly Way[] = [
  ...COUNT_WAYS,
  {
    ...{ weight: 10, does: 'writes' },
    run: ({ map, seen, random }, key) => {
      const expected = seen(key);
      const value = String(Math.floor(random() * COUNTER_MAX));
      const result = map.compareAndSet(key.name, expected, value);
      return { kind: 'compareAndSet', expected, value, result };
    },
  },
  {
    ...{ weight: 2, does: 'writes' },
    run: ({ map }, { name }) => ({ kind: 'delete', result: map.delete(name) }),
  },
];

const ITEMS_OF_HEAD = 3;

function headOf({ count, mark, check, note }: HeadLike): string {
  if ((mark ^ check) !== -1) throw new TornValue(`mark ${mark} beside check ${check}`);
  return `${count},${mark},${note}`;
}

interface HeadLike {
  readonly count: bigint;
  readonly mark: number;
  readonly check: number;
  readonly note: number;
}

const RECORD_WAYS: readonly Way[] = [
  {
    ...{ weight: 10, does: 'reads' },
    run: ({ records }, key) => {
      const record = records.get(key.name);
      if (record === null) return { kind: 'get', result: null };
      return { kind: 'get', result: `${headOf(record)},${stateOf(record.body, key)}` };
    },
  },
  {
    ...{ weight: 10, does: 'reads' },
    run: ({ records }, { name }) => {
      const isThere = records.locate(name);
      const result = isThere ? headOf(records.head) : null;
      return { kind: 'get', from: 0, to: ITEMS_OF_HEAD, result };
    },
  },
  {
    ...{ weight: 6, does: 'reads' },
    run: ({ records }, { name }) => {
      const count = records.read(name, 'count');
      return { kind: 'get', from: 0, to: 1, result: count === null ? null : String(count) };
    },
  },
  {
    ...{ weight: 10, does: 'writes' },
    run: (hand, { name, blockBytes }) => {
      const [mark, body] = [hand.fresh(1), hand.fresh(1)];
      const note = Math.floor(hand.random() * COUNTER_MAX);
      const result = hand.records.set(name, {
        ...{ count: 0n, mark: Number(mark), check: ~Number(mark) >>> 0, note, spare: 0 },
        body: valueOf(body, blockBytes),
      });
      return { kind: 'set', value: `0,${mark},${note},${body}`, result };
    },
  },
  {
    ...{ weight: 20, does: 'writes' },
    run: ({ records }, { name }) => {
      const sum = records.increment(name, 'count', 1n);
      const result = sum === null ? null : Number(sum);
      return { kind: 'add', at: 0, by: 1, ifThere: true, result };
    },
  },
  {
    ...{ weight: 10, does: 'writes' },
    run: ({ records, random }, { name }) => {
      const note = Math.floor(random() * COUNTER_MAX);
      const isThere = records.write(name, 'note', note);
      return { kind: 'put', at: 2, item: String(note), ifThere: true, result: isThere ? 4 : 0 };
    },
  },
  {
    ...{ weight: 4, does: 'writes' },
    run: (hand, { name, blockBytes }) => {
      const item = hand.fresh(1);
      const isThere = hand.records.writeTail(name, valueOf(item, blockBytes));
      return { kind: 'put', at: 3, item, ifThere: true, result: isThere ? 4 : 0 };
    },
  },
  {
    ...{ weight: 2, does: 'writes' },
    run: ({ map }, { name }) => ({ kind: 'delete', result: map.delete(name) }),
  },
];

const WAYS: Readonly<Record<Key['kind'], readonly Way[]>> = {
  blocks: BLOCK_WAYS,
  counter: COUNTER_WAYS,
  record: RECORD_WAYS,
};

export const waysOf = ({ name, kind }: Key): readonly Way[] =>
  name === COUNT_KEY ? COUNT_WAYS : WAYS[kind];
