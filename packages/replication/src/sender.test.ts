import {
  attachPartition,
  CHUNK_BYTES,
  createPartition,
  type Partition,
  PartitionMap,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { smallGeometry } from './cluster.fixture.ts';
import { ACK, CHUNK, END, FLAG_ZERO, type FrameHeader, REDO } from './frame.ts';
import type { Hello } from './hello.ts';
import { offerCopy } from './offer.ts';
import { Pacer, unpaced } from './pacer.ts';
import { RedoBuffers } from './redo-buffers.ts';
import { RingReader } from './ring-reader.ts';
import { Sender } from './sender.ts';
import type { SenderAction, SenderEvent } from './sender-steps.ts';

const EPOCH = 1;
const NO_PAYLOAD = Buffer.alloc(0);

let primary: Partition;
let map: PartitionMap;
let sender: Sender;

beforeEach(() => {
  primary = attachPartition(createPartition(smallGeometry, 0));
  primary.promote(EPOCH, 1);
  map = new PartitionMap(primary);
  sender = senderOf();
});

const follower = { clusterId: 'cluster', nodeId: 'b', incarnation: 1 };

function offerOfNothing(): Hello {
  const copy = attachPartition(createPartition(smallGeometry, 0));
  copy.setRole(ROLE_FOLLOWER, EPOCH);
  return offerCopy(copy, follower);
}

/** Of a follower that has nothing, unless it says so. */
function senderOf(
  pacer: Pacer = unpaced(),
  bulksPending: () => boolean = (): boolean => false,
  hello: Hello = offerOfNothing(),
): Sender {
  return new Sender({
    pacer,
    bulksPending,
    partition: primary,
    epoch: EPOCH,
    nodeId: 'a',
    incarnation: 1,
    hello,
    ring: new RingReader(primary, new RedoBuffers()),
  });
}

const fill = (chunks: number): void => {
  for (let i = 0; i < chunks; i++) map.set(Buffer.from(`key:${i}`), Buffer.alloc(60_000, i), 1);
};

/** Steps until the sender has nothing more to do by itself; the kernel accepts `batches` at most. */
function run(event: SenderEvent, { nowMs = 1, batches = 1_000 } = {}): SenderAction[] {
  const all: SenderAction[] = [];
  let next: SenderEvent | null = event;
  let left = batches;
  while (next !== null) {
    const actions: SenderAction[] = sender.step(next, nowMs);
    all.push(...actions);
    const sends = actions.some(({ kind }) => kind === 'send');
    if (sends && left-- === 0) return all;
    if (sends) next = { kind: 'written' };
    else next = actions.some(({ kind }) => kind === 'again') ? { kind: 'continue' } : null;
  }
  return all;
}

function acknowledge(seq: number): SenderAction[] {
  const rest = { flags: 0, payloadBytes: 0, chunk: 0, clockMs: 0, payloadCrc32: 0 };
  const header: FrameHeader = { type: ACK, epoch: EPOCH, seq, generation: 1, ...rest };
  return sender.step({ kind: 'frame', header, payload: NO_PAYLOAD }, 1);
}

const logged = (actions: readonly SenderAction[], name: string): object[] =>
  actions.flatMap((action) =>
    action.kind === 'log' && action.event.event === name ? [action.event] : [],
  );

describe('sender: progress', () => {
  test('a sync waits for its turn, counts its chunks, and is over once acknowledged', () => {
    fill(30);
    const what = { kind: 'full', reason: 'the copy is empty', pass: 0 };
    expect(run({ kind: 'continue' })).toContainEqual({ kind: 'awaitBulk', chunks: 33 });
    expect(sender.sync).toMatchObject({ ...what, chunksDone: 0, chunksTotal: 0, bytes: 0 });
    run({ kind: 'bulkGranted' }, { batches: 2 });
    const chunksTotal = primary.chunksTouched();
    expect(sender.sync).toMatchObject({ ...what, chunksTotal });
    const done = sender.sync?.chunksDone ?? 0;
    expect(done).toBeGreaterThan(2);
    expect(done).toBeLessThan(15);
    expect(sender.sync?.bytes).toBeLessThanOrEqual(done * CHUNK_BYTES);
    const actions = run({ kind: 'written' });
    expect(sender.sync).toMatchObject({ ...what, chunksDone: chunksTotal, chunksTotal });
    expect(sender.state).toBe('catchup');
    const end = actions.find((action) => action.kind === 'send' && action.header.type === END);
    const outcome = acknowledge(end?.kind === 'send' ? end.header.seq : 0);
    expect(outcome).toContainEqual({ kind: 'synced', reason: 'the copy is empty' });
    expect(logged(outcome, 'syncFinished')).toMatchObject([{ kind: 'full', passes: 1 }]);
    expect(sender.sync).toBeNull();
  });

  test('a bulk that takes long says every five seconds how far it is', () => {
    fill(60);
    run({ kind: 'continue' });
    const actions = run({ kind: 'bulkGranted' }, { batches: 2 });
    for (let second = 1; second <= 10; second++) {
      actions.push(...run({ kind: 'written' }, { nowMs: 1 + second * 1_000, batches: 0 }));
    }
    const rows = logged(actions, 'syncProgress');
    expect(rows).toMatchObject([{ kind: 'full', pass: 0 }, { kind: 'full' }]);
    const { chunksDone, bytesPerSecond } = rows[0] as Record<string, number>;
    expect(chunksDone).toBeGreaterThan(5);
    expect(bytesPerSecond).toBeGreaterThan(10_000);
  });
});

describe('sender: what the kernel took at once', () => {
  const redoOf = (actions: readonly SenderAction[]): SenderAction[] =>
    actions.filter((action) => action.kind === 'send' && action.header.type === REDO);

  test('while streaming it makes room for the next redo, and does no more than that', () => {
    fill(3);
    const current = offerCopy(primary, follower);
    sender = senderOf(undefined, undefined, { ...current, checked: true });
    run({ kind: 'continue' });
    expect(sender.state).toBe('streaming');
    for (const sent of [1, 0]) {
      fill(1);
      expect(redoOf(sender.step({ kind: 'continue' }, 1))).toHaveLength(sent);
    }
    expect(sender.taken()).toBe(true);
    expect(redoOf(sender.step({ kind: 'continue' }, 1))).toHaveLength(1);
  });

  test('a bulk goes on by itself, once others have had their turn', () => {
    fill(30);
    run({ kind: 'continue' });
    run({ kind: 'bulkGranted' }, { batches: 2 });
    expect(sender.taken()).toBe(false);
    expect(run({ kind: 'continue' })).toEqual([]);
    expect(run({ kind: 'written' })).not.toEqual([]);
  });
});

describe('sender: pacing', () => {
  test('a bulk that waits for its turn to send still drains redo, so that the ring does not lap it', () => {
    const pacer = new Pacer({
      rate: 1_000_000,
      load: () => ({ receivedBytes: 0, runs: 0, waitedMs: 0 }),
    });
    sender = senderOf(pacer);
    fill(60);
    run({ kind: 'continue' });
    run({ kind: 'bulkGranted' });
    const first = sender.sync?.chunksDone ?? 0;
    expect(first).toBeLessThan(8);
    const { ringBytes } = primary.geometry;
    for (let sent = 0; sent < 2 * ringBytes; ) {
      fill(2);
      const actions = run({ kind: 'continue' });
      expect(actions).toContainEqual({ kind: 'paced' });
      const redo = actions.filter(
        (action) => action.kind === 'send' && action.header.type === REDO,
      );
      expect(redo.length).toBeGreaterThan(0);
      for (const action of redo) if (action.kind === 'send') sent += action.payload.length;
    }
    expect(sender.sync).toMatchObject({ chunksDone: first, pass: 0 });
    const ended = run({ kind: 'continue' }, { nowMs: 60_000 });
    expect(ended).toContainEqual({ kind: 'paced' });
    expect(sender.sync?.chunksDone).toBeGreaterThan(first);
  });
});

describe('sender: runs of chunks', () => {
  const chunkFrames = (actions: readonly SenderAction[]): FrameHeader[] =>
    actions.flatMap((action) =>
      action.kind === 'send' && action.header.type === CHUNK ? [action.header] : [],
    );

  test('adjacent chunks travel four at a time, every chunk once, under the newest of their stamps', () => {
    fill(30);
    run({ kind: 'continue' });
    const frames = chunkFrames(run({ kind: 'bulkGranted' }));
    const sent = frames.flatMap(({ chunk, payloadBytes }) =>
      Array.from({ length: payloadBytes / CHUNK_BYTES }, (_, i) => chunk + i),
    );
    expect(sent).toEqual(Array.from({ length: primary.chunksTouched() }, (_, i) => i));
    expect(frames.filter(({ payloadBytes }) => payloadBytes === 4 * CHUNK_BYTES).length).toBe(
      Math.floor(sent.length / 4),
    );
    for (const { chunk, payloadBytes, generation } of frames) {
      const stamps = primary.stamps.subarray(chunk, chunk + payloadBytes / CHUNK_BYTES);
      expect(generation).toBe(Math.max(...stamps));
    }
  });

  test('a free chunk ends a run and travels without bytes', () => {
    fill(30);
    const free = primary.chunksTouched() - 10;
    vi.spyOn(primary, 'chunkIsFree').mockImplementation((chunk) => chunk === free);
    run({ kind: 'continue' });
    const frames = chunkFrames(run({ kind: 'bulkGranted' }));
    expect(frames.filter(({ flags }) => flags === FLAG_ZERO)).toMatchObject([
      { chunk: free, payloadBytes: 0 },
    ]);
    const covers = ({ chunk, payloadBytes }: FrameHeader): boolean =>
      chunk <= free && free < chunk + payloadBytes / CHUNK_BYTES;
    expect(frames.filter(covers)).toEqual([]);
  });
});

describe('sender: the CHECK pass', () => {
  /** Copies everything, with other bulks `pending`; then lets time pass. Returns how many chunks it checks. */
  function checksAfter(pending: () => boolean, nowMs: number): () => number {
    sender = senderOf(unpaced(), pending);
    fill(20);
    run({ kind: 'continue' });
    const actions = run({ kind: 'bulkGranted' });
    const end = actions.find((action) => action.kind === 'send' && action.header.type === END);
    acknowledge(end?.kind === 'send' ? end.header.seq : 0);
    const appended = vi.spyOn(primary, 'appendCheck');
    run({ kind: 'continue' }, { nowMs });
    return () => appended.mock.calls.length;
  }

  test('gives way to bulks that run', () => {
    let pending = true;
    const checks = checksAfter(() => pending, 2);
    expect(checks()).toBe(0);
    expect(sender.state).toBe('checking');
    pending = false;
    run({ kind: 'continue' });
    expect(checks()).toBeGreaterThan(0);
  });

  test('but not for ever', () => {
    expect(checksAfter(() => true, 40_000)()).toBeGreaterThan(0);
  });
});
