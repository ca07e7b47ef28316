import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import { BeatStream } from './beat-stream.ts';
import { ClusterView } from './cluster-view.ts';
import { nextBeatMs } from './heartbeats.ts';
import { mapFoundedBy } from './simulated-cluster.fixture.ts';
import { saysTheSame } from './report-changes.ts';
import type { NodeReport, PartitionReport } from './types.ts';
import { heartbeatFromWire, nodeStatusToWire } from './wire.ts';

const copy: PartitionReport = {
  id: 0,
  role: 'primary',
  epoch: 1,
  seq: 7,
  consistent: true,
  checked: true,
  followers: [{ node: 'n2', state: 'streaming', ackedSeq: 6, checked: true }],
};
const report: NodeReport = { node: 'n1', incarnation: 1, mapVersion: 1, partitions: [copy] };
const asBefore = { ...report, partitions: [], partitionsAsBefore: true };

const withCopy = (change: Partial<PartitionReport>): NodeReport => ({
  ...report,
  partitions: [{ ...copy, ...change }],
});

describe('heartbeats: what is said again', () => {
  test('every change of state, of the map, and of what is held', () => {
    const [follower] = copy.followers;
    const changed = [
      { ...report, mapVersion: 2 },
      { ...report, partitions: [] },
      withCopy({ role: 'follower' }),
      withCopy({ epoch: 2 }),
      withCopy({ consistent: false }),
      withCopy({ checked: false }),
      withCopy({ followers: [] }),
      withCopy({ followers: [{ ...follower, state: 'bulk' }] }),
      withCopy({ followers: [{ ...follower, node: 'n3' }] }),
    ];
    for (const other of changed) expect(saysTheSame(report, other)).toBe(false);
  });

  test('not that something was written', () => {
    const [follower] = copy.followers;
    const written = withCopy({ seq: 9, followers: [{ ...follower, ackedSeq: 9 }] });
    expect(saysTheSame(report, written)).toBe(true);
  });
});

test('heartbeats: at whole quarters of a second, never much sooner or later than the one before', () => {
  for (let wallMs = 0; wallMs < 1_000; wallMs++) {
    const leftMs = nextBeatMs(wallMs);
    expect((wallMs + leftMs) % 250).toBe(0);
    expect(leftMs).toBeGreaterThanOrEqual(50);
    expect(leftMs).toBeLessThan(300);
  }
  expect(nextBeatMs(1_000)).toBe(250);
});

describe('heartbeats: how often all is said', () => {
  /** Sends so many beats over a stream that takes everything; tells which of them were full. */
  function fullBeats(reports: readonly NodeReport[]): number[] {
    const written: boolean[] = [];
    const call = Object.assign(new EventEmitter(), {
      write: (message: { partitionsAsBefore: boolean }) =>
        written.push(!message.partitionsAsBefore),
      cancel: () => undefined,
    });
    const stream = new BeatStream({
      client: { heartbeat: () => call as never },
      opened: () => undefined,
      answered: () => undefined,
      refused: () => undefined,
      connected: () => undefined,
    });
    stream.start();
    for (const each of reports) {
      stream.send(each, 1);
      call.emit('data', {});
    }
    stream.stop();
    return written.flatMap((isFull, i) => (isFull ? [i] : []));
  }
  const beats = Array.from({ length: 17 }, (_, i) => i);

  test('every eighth time where nothing moves, every fourth where something is written', () => {
    expect(fullBeats(beats.map(() => report))).toEqual([0, 8, 16]);
    expect(fullBeats(beats.map((seq) => withCopy({ seq })))).toEqual([0, 4, 8, 12, 16]);
  });

  test('at once where a state changes', () => {
    const changed = beats.map((i) => (i < 3 ? report : withCopy({ checked: false })));
    expect(fullBeats(changed)).toEqual([0, 3, 11]);
  });
});

describe('heartbeats: what a control node makes of "as before"', () => {
  const map = mapFoundedBy('n1', { partitions: 1, copies: 1 });

  test('the last full report holds on, and the node has been heard', () => {
    const view = new ClusterView(0, 0);
    view.follow(map, 0);
    view.hear(report, 100);
    view.hear(heartbeatFromWire(nodeStatusToWire(asBefore)), 900);
    expect(view.copyReport(map, 0, 'n1')).toEqual(copy);
    expect(view.silentMs('n1', 1_000)).toBe(100);
  });

  test('a report that came before the map that lists its life holds on', () => {
    const view = new ClusterView(0, 0);
    view.follow(map, 0);
    const reborn = { ...report, incarnation: 2, mapVersion: 2 };
    view.hear(reborn, 100);
    const [node] = map.nodes;
    view.follow({ ...map, version: 2, nodes: [{ ...node, incarnation: 2 }] }, 200);
    expect(view.copyReport({ ...map, nodes: [{ ...node, incarnation: 2 }] }, 0, 'n1')).toEqual(
      copy,
    );
  });

  test('what plans are made from has changed: not by seqs, unless they make it large', () => {
    const view = new ClusterView(0, 0);
    view.follow(map, 0);
    view.hear(report, 100);
    const before = view.revision;
    view.hear(asBefore, 200);
    view.hear(withCopy({ seq: 9 }), 300);
    expect(view.revision).toBe(before);
    for (const change of [{ seq: 1_000 }, { seq: 1_000, checked: false }]) {
      const { revision } = view;
      view.hear(withCopy(change), 400);
      expect(view.revision).toBeGreaterThan(revision);
    }
    const { revision } = view;
    view.doubt('n1');
    expect(view.revision).toBeGreaterThan(revision);
  });

  test('of a node in doubt it says nothing, until a full report comes', () => {
    const view = new ClusterView(0, 0);
    view.follow(map, 0);
    view.hear(report, 100);
    view.doubt('n1');
    view.hear(asBefore, 350);
    expect(view.copyReport(map, 0, 'n1')).toBe(null);
    view.hear(report, 600);
    expect(view.copyReport(map, 0, 'n1')).toEqual(copy);
  });
});
