/** A data worker that ends in the middle of a write, inside the gate: the memory is half written, and the process must end. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { within } from '../support/eventually.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { encode, RespConnection } from '../support/resp-connection.ts';

const ENDS_WITHIN_MS = 20_000;
const READERS = 8;

let cluster: LocalCluster;

beforeAll(async () => {
  cluster = await LocalCluster.start({
    ...{ nodes: 1, capacity: '64mb', partitions: 8, copies: 1, args: ['--workers', '2'] },
    env: { INGOT_TEST_DOOR: '1' },
  });
});
afterAll(() => cluster.stop());

test.each([
  ['throw', 'told to die'],
  ['exit', 'worker data-\\d ended with exit code 3'],
])('by %s: the node says so and ends, whoever waits for the gate', async (how, why) => {
  const node = cluster.node(1);
  if (!node.isRunning) {
    cluster.restart(1);
    await node.answers('/readyz');
  }
  const { client } = node.ports;
  // Of both workers: the kernel spreads connections over them.
  const readers = await Promise.all(
    Array.from({ length: READERS }, () => RespConnection.open(client)),
  );
  const victim = await RespConnection.open(client);
  await victim.ask('SET k before\r\n', '+OK');
  await victim.send(encode('INGOT.DIE', 'k', 'half written', how));
  for (const reader of readers) await reader.send(encode('GET', 'k'));

  const end = await within('the process ends', ENDS_WITHIN_MS, node.process.ended);
  expect(end).toEqual({ code: 1, signal: null });
  const last = node.log.at(-1);
  expect(last).toMatchObject({ level: 60, event: 'worker.died' });
  expect(last?.['worker']).toMatch(/^data-\d$/);
  expect(last?.['msg']).toMatch(
    new RegExp(`^worker data-\\d died \\(${why}\\); the node ends here, start it again$`),
  );
  for (const connection of [victim, ...readers]) {
    expect(await connection.untilClosed()).not.toContain('half written');
  }
});
