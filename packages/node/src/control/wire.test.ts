import { fromBinary, toBinary, type UnknownEnum } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { NodeStatusSchema } from './gen/ingot_pb.ts';
import { mapFoundedBy } from './simulated-cluster.fixture.ts';
import { NO_SCRUB, type NodeStatus } from './types.ts';
import {
  clusterStatusFromWire,
  clusterStatusToWire,
  mapFromWire,
  mapToWire,
  nodeStatusFromWire,
  nodeStatusToWire,
} from './wire.ts';

const states = ['connecting', 'bulk', 'catchup', 'checking', 'streaming'] as const;
const sync = {
  kind: 'catch-up',
  reason: 'the ring has moved past the copy',
  pass: 1,
  chunksDone: 3,
  chunksTotal: 9,
  bytes: 2 ** 40,
  startedMs: 1_800_000_000_000.5,
};
const status: NodeStatus = {
  node: 'n1',
  incarnation: 2,
  mapVersion: 9,
  scrub: {
    everySeconds: 3_600,
    rounds: 7,
    chunksDone: 3,
    chunksTotal: 9,
    lastRoundSeconds: 3_600.25,
    differences: 2 ** 40,
    repairs: 2,
    repairsRefused: 1,
  },
  snapshots: {
    everySeconds: 30,
    partitions: 64,
    readable: 63,
    ageSeconds: null,
    rounds: 2 ** 40,
    interrupted: 3,
    chunkBytes: 2 ** 41,
    redoBytes: 2 ** 42,
    lastRoundSeconds: 1.5,
  },
  checkpoints: { everySeconds: 60, partitions: 9, failing: 1, oldestAgeSeconds: -1 },
  partitions: [
    {
      id: 3,
      role: 'primary',
      epoch: 4,
      seq: 2 ** 40,
      consistent: true,
      checked: true,
      keys: 5,
      usedBytes: 65_536,
      followers: states.map((state, index) => ({
        node: `f${index}`,
        state,
        ackedSeq: index,
        checked: index === 4,
        lagSeq: 7,
        lagSeconds: 0.25,
        sync: state === 'bulk' ? sync : null,
      })),
    },
    {
      id: 4,
      role: 'none',
      epoch: 0,
      seq: 0,
      consistent: false,
      checked: false,
      keys: 0,
      usedBytes: 0,
      followers: [],
    },
  ],
};
const map = mapFoundedBy('n1', { partitions: 4, copies: 2 });

describe('control wire', () => {
  test('what a node says of itself arrives as it was said', () => {
    const bytes = toBinary(NodeStatusSchema, nodeStatusToWire(status));
    expect(nodeStatusFromWire(fromBinary(NodeStatusSchema, bytes))).toEqual(status);
  });

  test('a heartbeat says nothing of the scrub', () => {
    const { scrub: _, ...heartbeat } = status;
    expect(nodeStatusFromWire(nodeStatusToWire(heartbeat)).scrub).toEqual(NO_SCRUB);
  });

  test('a state that this version does not know counts as the least', () => {
    const message = nodeStatusToWire(status);
    message.partitions[0].followers[4].state = 99 as UnknownEnum;
    expect(nodeStatusFromWire(message).partitions[0].followers[4].state).toBe('connecting');
  });

  test('a cluster status keeps the nodes that did not answer', () => {
    const whole = {
      map,
      nodes: [
        { node: 'n1', status, why: '' },
        { node: 'n2', status: null, why: 'no answer' },
      ],
    };
    expect(clusterStatusFromWire(clusterStatusToWire(whole))).toEqual(whole);
  });

  test('what several say of a map is read once; older ones are forgotten', () => {
    const texts = [1, 2, 3, 4, 5].map((version) => mapToWire({ ...map, version }));
    const [first, second] = texts.map((text) => mapFromWire(text));
    expect(mapFromWire(texts[1])).toBe(second);
    expect(mapFromWire(texts[0])).not.toBe(first);
    expect(mapFromWire(texts[0])).toEqual(first);
  });

  test('a map that breaks a rule does not get in', () => {
    expect(mapFromWire(mapToWire(map))).toEqual(map);
    expect(() => mapFromWire(mapToWire({ ...map, partitions: 8 }))).toThrow(/one entry/);
    expect(() => mapFromWire('{}')).toThrow(/placement/);
    expect(() => mapFromWire('not JSON')).toThrow(SyntaxError);
  });
});
