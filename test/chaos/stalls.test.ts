/** Nothing is broken, but somebody is silent: a link that swallows what it is given, a side of a connection that
 *  is closed, a process that is stopped and goes on. Each is noticed, and the copy goes on from where it was. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { PING, REDO } from '../../packages/replication/src/frame.ts';
import { binary } from '../support/dataset.ts';
import { eventually, within } from '../support/eventually.ts';
import { cutAfter, stallAt } from '../support/faults.ts';
import { CLEAN, ingotVerify } from '../support/ingot.ts';
import { fill } from '../support/resp-connection.ts';
import { LinkedPair } from '../sync/linked-pair.ts';
import { LogWatch } from './log-watch.ts';

const KEYS = 50;
const STRIKES_WITHIN_MS = 20_000;

let pair: LinkedPair;
let primary: LogWatch;
let follower: LogWatch;
let fullSyncs: number;

beforeAll(async () => {
  pair = await LinkedPair.first(
    { capacity: '8mb', partitions: 1, foundArgs: ['--capacity-max', '8mb'] },
    { frames: true },
  );
  pair.cluster.node(2).launch();
  await pair.cluster.settled();
  fullSyncs = await pair.cluster.sum('ingot_full_syncs_total');
});

beforeEach(() => {
  [primary, follower] = pair.cluster.nodes.map((node) => new LogWatch(node));
});

/** However it was disturbed: equal, and by no other full sync. */
afterEach(async () => {
  await write(9);
  await pair.cluster.settled();
  await pair.cluster.replicated();
  expect(await pair.cluster.sum('ingot_full_syncs_total')).toBe(fullSyncs);
  expect(await ingotVerify(pair.cluster.node(1).ports.control)).toMatchObject(CLEAN);
});

afterAll(() => pair.stop());

test('a primary that is not heard is given up, and asked again', async () => {
  const stall = pair.linkOf(1).arm(stallAt(REDO, 'down'));
  await write(1);
  await within('the link stalls', STRIKES_WITHIN_MS, stall.struck);
  await follower.logs('connectionLost', { reason: 'the primary went silent' });
  await primary.logs('connectionLost', { node: 'n2' });
});

test('so it is while nobody writes: signs of life are missed', async () => {
  const stall = pair.linkOf(1).arm(stallAt(PING, 'down'));
  await within('the link stalls', STRIKES_WITHIN_MS, stall.struck);
  await follower.logs('connectionLost', { reason: 'the primary went silent' });
});

test.each(['down', 'up'] as const)(
  'a connection that is closed on one side only (%s) ends on both',
  async (direction) => {
    const [receiver, other] = direction === 'down' ? [follower, primary] : [primary, follower];
    const cut = pair.linkOf(1).arm(cutAfter(40, direction, 'halfClose'));
    await write(2);
    await within('one side is closed', STRIKES_WITHIN_MS, cut.struck);
    await receiver.logs('connectionLost', { reason: 'the peer ended the connection' });
    await other.logs('connectionLost');
  },
);

test('a slow link only delays', async () => {
  for (const link of pair.links) link.delayMs = 40;
  pair.cut();
  pair.heal();
  await write(3);
  await pair.cluster.replicated();
  for (const link of pair.links) link.delayMs = 0;
  expect(follower.lines('refused')).toEqual([]);
});

test('a follower that was stopped for a while goes on where it was', async () => {
  const { pid } = pair.cluster.node(2);
  process.kill(pid, 'SIGSTOP');
  try {
    await eventually('the map says that node 2 is down', async () => {
      const { nodes } = await pair.cluster.view(pair.cluster.node(1));
      return nodes.some(({ id, state }) => id === 'n2' && state === 'down');
    });
    await write(4);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

/** Through node 1, which leads the one partition. */
async function write(round: number): Promise<void> {
  await fill(pair.cluster.node(1).ports.client, KEYS, (i) => [
    `k${i}`,
    binary(i + round * 1_000, 500),
  ]);
}
