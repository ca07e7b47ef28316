/** A bit changes in the memory of a real process. In one follower of two: the scrub finds it, the third copy supports
 *  the primary, and the chunk is repaired. In both followers alike: nobody says who is right, nothing is
 *  overwritten, and there is an alarm. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { binary, numbers } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import { CLEAN, ingotStatus, ingotVerify } from '../support/ingot.ts';
import { LocalCluster, type TestNode } from '../support/local-cluster.ts';
import { encode, fill, RespConnection } from '../support/resp-connection.ts';
import { LogWatch } from './log-watch.ts';

/** With header and key the only record in its chunk: most of a chunk's bytes are value. */
const VALUE_BYTES = 62_000;
const KEYS = 40;
const CHUNK = 12;
const BYTE = 40_000;
const SCRUB_WITHIN_MS = 30_000;

let cluster: LocalCluster;
let primary: TestNode;
let followers: TestNode[];

/** Three copies of one partition, filled. */
async function start(scrubEvery: string): Promise<void> {
  cluster = await LocalCluster.start({
    nodes: 3,
    copies: 3,
    capacity: '8mb',
    partitions: 1,
    foundArgs: ['--capacity-max', '8mb'],
    args: ['--scrub-every', scrubEvery],
    env: { INGOT_TEST_DOOR: '1' },
  });
  const [{ primary: leader }] = (await cluster.view()).partitions;
  [primary, ...followers] = cluster.nodes.toSorted((a) => (a.id === leader ? -1 : 0));
  await fill(primary.ports.client, KEYS, (i) => [`k${i}`, binary(i, VALUE_BYTES)]);
  await cluster.replicated();
}

describe('a round every second', () => {
  beforeAll(() => start('1s'));
  afterAll(() => cluster.stop());

  test('a bit flipped in one follower is found by the scrub, counted, logged and repaired', async () => {
    const logs = [primary, followers[0]].map((node) => new LogWatch(node));
    const partialSyncs = await counted('ingot_partial_syncs_total');
    await flip(followers[0]);
    await eventually(
      'the chunk is repaired',
      async () => (await counted('ingot_repairs_total')) === 1,
      { withinMs: SCRUB_WITHIN_MS },
    );
    const where = { partition: 0, chunk: CHUNK };
    await logs[0].logs('checkFailed', { ...where, node: followers[0].id });
    await logs[0].logs('repaired', { ...where, node: followers[0].id });
    await logs[1].logs('checkFailed', where);
    await logs[0].logs('scrubFinished');
    expect(await counted('ingot_check_differences_total')).toBe(1);
    expect(await counted('ingot_repairs_refused_total')).toBe(0);
    expect(await wrongValues(followers[0])).toEqual([]);
    // By a mutation, not by another sync.
    expect(await counted('ingot_partial_syncs_total')).toBe(partialSyncs);
    expect(await ingotVerify(primary.ports.control)).toMatchObject(CLEAN);
    const { nodes } = await ingotStatus(primary.ports.control);
    const scrub = nodes.find(({ id }) => id === primary.id)?.scrub;
    expect(scrub).toMatchObject({ differences: 1, repairs: 1, repairsRefused: 0 });
  });
});

describe('by verify alone', () => {
  beforeAll(() => start('0'));
  afterAll(() => cluster.stop());

  test('the same bit flipped in both followers is not repaired: an alarm', async () => {
    const log = new LogWatch(primary);
    for (const follower of followers) await flip(follower);
    const { exitCode, report } = await ingotVerify(primary.ports.control);
    expect(exitCode).toBe(1);
    const where = { partition: 0, chunk: CHUNK, repaired: false };
    expect(report.differences).toMatchObject([where, where]);
    const line = await log.logs('repairRefused', { partition: 0, chunk: CHUNK });
    expect(line.level).toBe(50);
    expect(await counted('ingot_repairs_refused_total')).toBe(1);
    expect(await counted('ingot_repairs_total')).toBe(0);
    for (const follower of followers) expect((await wrongValues(follower)).length).toBe(1);

    // Once one of them is right again there are two for the primary's bytes.
    await flip(followers[0]);
    expect((await ingotVerify(primary.ports.control)).report.differences).toMatchObject([
      { ...where, node: followers[1].id, repaired: true },
    ]);
    expect(await ingotVerify(primary.ports.control)).toMatchObject(CLEAN);
  });
});

async function flip(node: TestNode): Promise<void> {
  const where = `partition=0&chunk=${CHUNK}&byte=${BYTE}`;
  const url = `http://127.0.0.1:${node.ports.http}/test/flip?${where}`;
  const response = await fetch(url, { method: 'POST' });
  expect(response.status).toBe(200);
}

function counted(name: string): Promise<number> {
  return cluster.sum(name);
}

/** Keys that this node's copy does not answer as they were written. */
async function wrongValues(node: TestNode): Promise<string[]> {
  const connection = await RespConnection.open(node.ports.follower);
  await connection.ask('READONLY\r\n', '+OK');
  const wrong: string[] = [];
  for (const i of numbers(KEYS)) {
    const from = connection.received.length;
    const value = binary(i, VALUE_BYTES).toString('latin1');
    const replyBytes = `$${VALUE_BYTES}\r\n`.length + VALUE_BYTES + 2;
    await connection.send(encode('GET', `k${i}`));
    await eventually(`k${i} is answered`, () => connection.received.length - from >= replyBytes, {
      everyMs: 2,
    });
    if (!connection.received.slice(from).includes(value)) wrong.push(`k${i}`);
  }
  connection.destroy();
  return wrong;
}
