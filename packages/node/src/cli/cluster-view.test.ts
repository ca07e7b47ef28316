import { expect, test } from 'vitest';
import {
  type ClusterStatus,
  NO_SCRUB,
  type NodeStatus,
  type PartitionStatus,
  type ScrubStatus,
} from '../control/types.ts';
import { plainEntry, plainMap, plainNode } from '../shared/map.fixture.ts';
import { viewOf, viewText } from './cluster-view.ts';

const ports = { client: 1, replication: 2, control: 3, http: 4, cluster: 5, follower: 6 };

const leading: PartitionStatus = {
  id: 0,
  role: 'primary',
  epoch: 4,
  seq: 1042,
  consistent: true,
  checked: true,
  keys: 7,
  usedBytes: 65_536,
  followers: [
    {
      node: 'n2',
      state: 'streaming',
      ackedSeq: 1040,
      checked: true,
      lagSeq: 2,
      lagSeconds: 0.0015,
      sync: null,
    },
  ],
};

const scrub: ScrubStatus = {
  everySeconds: 3_600,
  rounds: 2,
  chunksDone: 301,
  chunksTotal: 700,
  lastRoundSeconds: 3_600.04,
  differences: 3,
  repairs: 2,
  repairsRefused: 1,
};

const checkpoints = { everySeconds: 60, partitions: 2, failing: 0, oldestAgeSeconds: 42 };

const answer: ClusterStatus = {
  map: plainMap({
    version: 12,
    clusterId: 'c1',
    nodes: [
      plainNode('n1', { incarnation: 2, acceptor: 'a1', ports }),
      plainNode('n2', { state: 'down', acceptor: 'a1', advertise: '::1', ports }),
    ],
    acceptors: { current: [{ id: 'a1', node: 'n1' }], next: null },
    placement: [
      plainEntry('n1', ['n2'], { epoch: 4, inSync: [{ node: 'n1', incarnation: 2 }] }),
      plainEntry('n2', [], { epoch: 2, lost: true, lossy: true }),
    ],
  }),
  nodes: [
    {
      node: 'n1',
      why: '',
      status: {
        ...{ node: 'n1', incarnation: 2, mapVersion: 12, partitions: [leading] },
        ...{ scrub, checkpoints },
      },
    },
    { node: 'n2', why: 'connection refused', status: null },
  ],
};

test('status: a node shows its addresses and what it holds', () => {
  const [first, second] = viewOf(answer).nodes;
  expect(first).toMatchObject({ id: 'n1', state: 'up', incarnation: 2, leads: 1, follows: 0 });
  expect(first.addresses.client).toBe('127.0.0.1:1');
  expect(second.addresses.control).toBe('[::1]:3');
  expect(second.silence).toBe('connection refused');
});

test('status: a partition shows what its primary knows of it, and null where that is silent', () => {
  const [first, second] = viewOf(answer).partitions;
  expect(first).toMatchObject({ epoch: 4, primary: 'n1', seq: 1042, keys: 7 });
  expect(first.followers).toEqual([
    { node: 'n2', state: 'streaming', seq: 1040, lagSeqs: 2, lagSeconds: 0.0015, sync: null },
  ]);
  expect(second).toMatchObject({
    primary: 'n2',
    seq: null,
    keys: null,
    lost: true,
  });
});

test('status: the limit, and how full the fullest and the emptiest partition are', () => {
  const { capacity } = viewOf(answer);
  const fill = { partition: 0, usedBytes: 65_536, capacityBytes: 2 ** 29, percent: 0 };
  expect(capacity).toEqual({ limitBytes: 2 ** 30, fullest: fill, emptiest: fill });
  const [n1] = answer.nodes;
  const fuller = { ...leading, id: 1, usedBytes: 12 * 2 ** 20 };
  const status = { ...n1.status, partitions: [leading, fuller] } as NodeStatus;
  const [first, second] = answer.map.placement;
  const placement = [first, { ...second, primary: 'n1', followers: ['n2'] }];
  const map = { ...answer.map, placement, capacityLimitBytes: 2 ** 25 };
  expect(viewText(viewOf({ map, nodes: [{ ...n1, status }] }))).toContain(
    'capacity 32mb; fullest is partition 1 with 12.0 of 16.0 MiB (75 %), ' +
      'emptiest partition 0 with 0.1 of 16.0 MiB (0 %)\n',
  );
  expect(viewText(viewOf({ ...answer, nodes: [] }))).toContain('\ncapacity 1gb\n');
});

test('status: the text has a line per node and partition, and names what is wrong', () => {
  const text = viewText(viewOf(answer));
  expect(text).toContain('cluster c1, map version 12, decided by n1\n');
  expect(text).toMatch(/^n2 +down +1 +none +1 +1 +\[::1\]:1 /m);
  expect(text).toMatch(/^0 +4 +n1 +1042 +7 +n1 +n2 streaming at 1040, lag 2 \(0\.002 s\)$/m);
  expect(text).toMatch(/^1 +2 +n2 +\? +\? +none +none$/m);
  expect(text).toContain('lossy, writes may be missing: partitions 1');
  expect(text).not.toContain('moving');
  expect(text).toContain('n2 does not answer: connection refused');
  expect(text).toContain('lost, began again empty: partitions 1');
});

test('status: who was told to stop or to leave is told from who is down, and pins are shown', () => {
  const stopping = [
    { node: 'n2', incarnation: 1, sinceMs: 1_790_000_000_000 },
    { node: 'n1', incarnation: 2, sinceMs: 1_790_000_000_000 },
  ];
  const wishes = { leaving: [], stopping, pins: [{ partition: 0, node: 'n1' }] };
  const view = viewOf({ ...answer, map: { ...answer.map, wishes } });
  expect(view.nodes.map(({ state }) => state)).toEqual(['stopping', 'stopped']);
  expect(view.partitions.map(({ pinned }) => pinned)).toEqual(['n1', null]);
  const text = viewText(view);
  expect(text).toContain('n2 was stopped at 2026-09-21T14:13:20.000Z');
  expect(text).not.toContain('n2 does not answer');
  expect(text).toContain('led by whom "ingot promote" has named: partitions 0');
  const leaving = { ...wishes, leaving: ['n1', 'n2'], stopping: [] };
  const going = viewOf({ ...answer, map: { ...answer.map, wishes: leaving } });
  expect(going.nodes.map(({ state }) => state)).toEqual(['leaving', 'down']);
});

test('status: moves under way, a set of acceptors that changes, a partition that nobody leads', () => {
  const { map, nodes } = answer;
  const [n1, n2] = map.nodes;
  const next = [{ id: 'a3', node: 'n3' }];
  const moving = viewText(
    viewOf({
      nodes,
      map: {
        ...map,
        acceptors: { ...map.acceptors, next },
        nodes: [n1, n2, { ...n2, id: 'n3', witness: true }],
        copies: 1,
        placement: [map.placement[0], { ...map.placement[1], primary: null, followers: ['n2'] }],
      },
    }),
  );
  expect(moving).toContain('decided by n1 together with n3\n');
  expect(moving).toMatch(/^n3 +down +1 +witness +0 +0 /m);
  expect(moving).toMatch(/^moving +to +state\n0 +n2 +streaming$/m);
  expect(moving).toContain('without a primary: partitions 1');
});

test('status: a copy that is being made says how far it is, and why', () => {
  const sync = {
    kind: 'catch-up',
    reason: 'the ring has moved past the copy',
    pass: 0,
    chunksDone: 7_325,
    chunksTotal: 17_044,
    bytes: 480_000_000,
    startedMs: 1,
  };
  const shown = (change: Partial<typeof sync>): string => {
    const [follower] = leading.followers;
    const followers = [{ ...follower, state: 'bulk' as const, sync: { ...sync, ...change } }];
    const partitions = [{ ...leading, followers }];
    const status = { node: 'n1', incarnation: 2, mapVersion: 12, partitions, scrub, checkpoints };
    return viewText(viewOf({ ...answer, nodes: [{ node: 'n1', why: '', status }] }));
  };
  const why = 'catch-up: the ring has moved past the copy';
  expect(shown({})).toContain(`n2 bulk 42 % (480 of 1,117 MB), ${why}`);
  expect(shown({ pass: 1 })).toContain(`n2 bulk 42 % (480 of 1,117 MB, pass 2), ${why}`);
  expect(shown({ chunksTotal: 0 })).toContain(`n2 bulk waiting, ${why}`);
});

test('status: a node that leads says how far its scrub is and what came of it', () => {
  expect(viewOf(answer).nodes.map((node) => node.scrub)).toEqual([scrub, null]);
  const line = (shown: ScrubStatus): RegExpExecArray | null => {
    const status = {
      node: 'n1',
      incarnation: 2,
      mapVersion: 12,
      partitions: [leading],
      scrub: shown,
      checkpoints,
    };
    const nodes = [{ node: 'n1', why: '', status }];
    return /^scrub .*\n(n1 .*)$/m.exec(viewText(viewOf({ ...answer, nodes })));
  };
  expect(line(scrub)?.[1]).toMatch(/^n1 +3 +43 % +3600\.0 s +3 +2 +1$/);
  expect(line(NO_SCRUB)?.[1]).toMatch(/^n1 +off +- +- +0 +0 +0$/);
});

test('status: a node that saves its copies says how old the oldest checkpoint is', () => {
  const text = (oldestAgeSeconds: number, everySeconds = 60): string => {
    const [first, ...others] = answer.nodes;
    const shown = { everySeconds, partitions: 2, failing: 1, oldestAgeSeconds };
    const status = first.status === null ? null : { ...first.status, checkpoints: shown };
    return viewText(viewOf({ ...answer, nodes: [{ ...first, status }, ...others] }));
  };
  expect(text(42)).toMatch(/^checkpoints .*\nn1 +60 s +2 +42 s ago +1$/m);
  expect(text(-1)).toMatch(/^n1 +60 s +2 +not all yet +1$/m);
  expect(text(42, 0)).not.toContain('checkpoints');
});
