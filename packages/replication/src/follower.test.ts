import {
  attachPartition,
  createPartition,
  type Partition,
  PartitionMap,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { smallGeometry } from './cluster.fixture.ts';
import { Follower, type FollowerAction } from './follower.ts';
import { ACK, BEGIN, CHUNK, END, type FrameHeader, HELLO, PING, REDO, WELCOME } from './frame.ts';
import { offerCopy } from './offer.ts';
import { RedoBuffers } from './redo-buffers.ts';
import { type Begin, encodeBegin, encodeWelcome } from './welcome.ts';

const EPOCH = 4;
const begin: Begin = { kind: 'full', reason: 'the copy is empty', chunkCount: 1, pass: 0 };
const welcome = encodeWelcome({
  nodeId: 'primary',
  incarnation: 1,
  kind: 'full',
  reason: 'the copy is empty',
  sharedSeq: 0,
});
const nothing = Buffer.alloc(0);

let copy: Partition;
let follower: Follower;

beforeEach(() => {
  copy = attachPartition(createPartition(smallGeometry, 0));
  copy.setRole(ROLE_FOLLOWER, EPOCH);
  const hello = offerCopy(copy, { clusterId: 'c', nodeId: 'f', incarnation: 1 });
  follower = new Follower({ partition: copy, epoch: EPOCH, hello, buffers: new RedoBuffers() });
  follower.start(0);
});

function header(type: number, change: Partial<FrameHeader> = {}): FrameHeader {
  const fields = { flags: 0, payloadBytes: 0, epoch: EPOCH, seq: 10, generation: 3, chunk: 0 };
  return { type, ...fields, clockMs: 0, payloadCrc32: 0, ...change };
}

const send = (type: number, payload: Buffer = nothing, change: Partial<FrameHeader> = {}) =>
  follower.step(header(type, { payloadBytes: payload.length, ...change }), payload, 0);
const dropOf = (actions: readonly FollowerAction[]): string | undefined =>
  actions.flatMap((action) => (action.kind === 'drop' ? [action.reason] : []))[0];

/** The redo of `writes` on a primary whose history goes on after seq `from`. */
function redoOf(writes: (map: PartitionMap) => void): { records: Buffer; lastSeq: number } {
  const primary = attachPartition(createPartition(smallGeometry, 0));
  primary.promote(1, 0);
  writes(new PartitionMap(primary));
  const buffer = Buffer.alloc(131_072);
  const bytes = primary.ringCopy(primary.ringFind(1), buffer.length, buffer);
  return { records: buffer.subarray(0, bytes), lastSeq: primary.stats().seq };
}

test('follower: who is sent from the copy is cut off before BEGIN touches it, and once it has', () => {
  send(WELCOME, welcome);
  const touches = [vi.spyOn(copy, 'reset'), vi.spyOn(copy, 'beginBulk')];
  const begin = { kind: 'full', reason: 'the copy is empty', chunkCount: 1, pass: 0 } as const;
  expect(send(BEGIN, encodeBegin(begin))).toContainEqual({ kind: 'dropSubscribers' });
  for (const touch of touches) expect(touch).not.toHaveBeenCalled();
  expect(follower.place(header(CHUNK, { payloadBytes: 65_536, chunk: 2 }))).toHaveLength(65_536);
  for (const touch of touches) expect(touch).toHaveBeenCalledTimes(1);
  expect(send(CHUNK, Buffer.alloc(65_536), { chunk: 2 })).toEqual([{ kind: 'dropSubscribers' }]);
  expect(send(END)).not.toContainEqual({ kind: 'dropSubscribers' });
});

describe('follower: frames that come when they should not', () => {
  test.each<[rule: string, type: number]>([
    ['HELLO is answered first, not by BEGIN', BEGIN],
    ['HELLO is answered first, not by PING', PING],
    ['HELLO is answered first, not by CHUNK', CHUNK],
  ])('before WELCOME: %s', (rule, type) => {
    expect(dropOf(send(type))).toBe(rule);
  });

  test.each<[rule: string, type: number, payload: Buffer]>([
    ['WELCOME answers HELLO', WELCOME, welcome],
    ['CHUNK comes between BEGIN and END', CHUNK, nothing],
    ['END comes between BEGIN and END', END, nothing],
    ['a bulk begins before its redo', REDO, Buffer.alloc(24)],
    ['a primary sends no HELLO', HELLO, nothing],
    ['a primary sends no ACK', ACK, nothing],
  ])('after WELCOME: %s', (rule, type, payload) => {
    expect(dropOf(send(WELCOME, welcome))).toBeUndefined();
    expect(dropOf(send(type, payload))).toBe(rule);
  });

  test('an empty copy is not streamed to', () => {
    const kind = 'stream';
    const reason = 'the copy is current and the ring holds what follows';
    const stream = encodeWelcome({ nodeId: 'p', incarnation: 1, kind, reason, sharedSeq: 0 });
    expect(dropOf(send(WELCOME, stream))).toBe(
      'only a consistent copy is streamed to, from its base on',
    );
  });

  test('another epoch, on the wire or here', () => {
    expect(dropOf(send(WELCOME, welcome, { epoch: EPOCH + 1 }))).toBe(
      'every frame carries the epoch of the connection',
    );
  });

  test('the epoch moves on under a bulk: no further chunk is placed', () => {
    send(WELCOME, welcome);
    send(BEGIN, encodeBegin(begin));
    copy.setRole(ROLE_FOLLOWER, EPOCH + 1);
    expect(follower.place(header(CHUNK, { payloadBytes: 65_536 }))).toBe('the epoch has moved on');
  });
});

describe('follower: what a bulk may do', () => {
  beforeEach(() => {
    send(WELCOME, welcome);
    send(BEGIN, encodeBegin(begin));
  });

  const chunk = (index: number): FrameHeader =>
    header(CHUNK, { payloadBytes: 65_536, chunk: index });

  test('a chunk lands in the image itself', () => {
    const place = follower.place(chunk(7));
    if (typeof place === 'string') throw new Error(place);
    place.fill(5);
    expect(copy.chunkBytesView(7, 0, 65_536)).toEqual(Buffer.alloc(65_536, 5));
  });

  test('a chunk beyond the image has no place', () => {
    expect(follower.place(chunk(128))).toBe('the chunk is below 128');
  });

  test('no more chunks than announced', () => {
    follower.place(chunk(1));
    send(CHUNK, copy.chunkBytesView(1, 0, 65_536), { chunk: 1 });
    expect(follower.place(chunk(2))).toBe('a pass sends no more than its BEGIN announced');
  });

  test('a run ends within the image, and with what was announced', () => {
    const run = (index: number): FrameHeader =>
      header(CHUNK, { payloadBytes: 2 * 65_536, chunk: index });
    expect(follower.place(run(127))).toBe('the chunk is below 128');
    expect(follower.place(run(4))).toBe('a pass sends no more than its BEGIN announced');
  });

  test('no fewer either', () => {
    expect(dropOf(send(END))).toBe('a pass sends what its BEGIN announced');
  });

  test('not more chunks than the image has', () => {
    expect(dropOf(send(BEGIN, encodeBegin({ ...begin, chunkCount: 129 })))).toBe(
      'a bulk sends no chunk twice',
    );
  });

  test('minConsistent does not lie behind R0', () => {
    follower.place(chunk(1));
    send(CHUNK, copy.chunkBytesView(1, 0, 65_536), { chunk: 1 });
    expect(dropOf(send(END, nothing, { seq: 9 }))).toBe(
      'the copy is not consistent before what it has applied',
    );
  });
});

test('follower: a run of adjacent chunks lands as one, each with the stamp of the run', () => {
  send(WELCOME, welcome);
  send(BEGIN, encodeBegin({ ...begin, chunkCount: 4 }));
  const bytes = Buffer.alloc(3 * 65_536, 6);
  const place = follower.place(header(CHUNK, { payloadBytes: bytes.length, chunk: 5 }));
  if (typeof place === 'string') throw new Error(place);
  bytes.copy(place);
  expect(dropOf(send(CHUNK, place, { chunk: 5, generation: 77 }))).toBeUndefined();
  expect(copy.imageBuffer.subarray(5 * 65_536, 8 * 65_536)).toEqual(bytes);
  expect([...copy.stamps.subarray(4, 9)]).toEqual([0, 77, 77, 77, 0]);
  expect(follower.place(header(CHUNK, { payloadBytes: 2 * 65_536, chunk: 8 }))).toBe(
    'a pass sends no more than its BEGIN announced',
  );
});

describe('follower: redo', () => {
  beforeEach(() => {
    send(WELCOME, welcome);
    send(BEGIN, encodeBegin({ ...begin, chunkCount: 0 }), { seq: 0 });
  });

  const redo = redoOf((map) => {
    for (let i = 0; i < 5; i++) map.set(Buffer.from(`k${i}`), Buffer.from('value'), 0);
  });
  const lastGeneration = redo.records.readUInt32LE(16);
  const sendRedo = (
    records: Buffer,
    change: Partial<FrameHeader> = {},
  ): readonly FollowerAction[] =>
    send(REDO, records, { seq: redo.lastSeq, generation: lastGeneration, ...change });

  test('is applied and acknowledged', () => {
    const actions = sendRedo(Buffer.from(redo.records));
    expect(actions.at(-1)).toMatchObject({
      kind: 'send',
      header: { type: ACK, seq: redo.lastSeq },
    });
    expect(copy.stats().seq).toBe(redo.lastSeq);
  });

  test('a gap is refused and nothing applied', () => {
    const second = Buffer.from(redo.records.subarray(redo.records.readUInt32LE(0)));
    expect(dropOf(sendRedo(second))).toBe('redo is contiguous: 2 came where 1 is due');
    expect(copy.stats().seq).toBe(0);
  });

  test('a header that names another last record is refused', () => {
    expect(dropOf(sendRedo(Buffer.from(redo.records), { seq: 3 }))).toBe(
      'a REDO header names its last record',
    );
  });

  test('a patch beyond the image is refused and nothing applied', () => {
    const records = Buffer.from(redo.records);
    records.writeUInt32LE(0x7fff_fff0, 24);
    expect(dropOf(sendRedo(records))).toMatch(/^redo: /);
    expect(copy.stats().seq).toBe(0);
  });

  test('a transaction waits for its end', () => {
    const records = Buffer.from(redo.records);
    const starts: number[] = [];
    for (let at = 0; at < records.length; at += records.readUInt32LE(at)) starts.push(at);
    for (const at of starts.slice(1, -1)) records[at + 5] = 0; // no txnEnd but on the first and the last
    const cut = starts[3];
    sendRedo(records.subarray(0, cut), { seq: 3 });
    expect(copy.stats().seq).toBe(1);
    const actions = sendRedo(records.subarray(cut));
    expect(copy.stats().seq).toBe(redo.lastSeq);
    expect(actions).toMatchObject([{ kind: 'send', header: { type: ACK, seq: redo.lastSeq } }]);
  });
});
