import { describe, expect, test } from 'vitest';
import { ClusterView } from './cluster-view.ts';
import { saysTheSame } from './beat-stream.ts';
import { mapFoundedBy } from './simulated-cluster.fixture.ts';
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
