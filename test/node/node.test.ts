import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { freePorts, ServedNode } from './served-node.ts';

const SMALL = ['--capacity', '64mb', '--partitions', '8', '--workers', '1'];
const FOUND = ['--found', '--copies', '2', ...SMALL];
const START_TIMEOUT_MS = 60_000;

describe('node', { timeout: START_TIMEOUT_MS }, () => {
  const nodes: ServedNode[] = [];

  async function serve(...args: Parameters<typeof ServedNode.start>): Promise<ServedNode> {
    const node = await ServedNode.start(...args);
    nodes.push(node);
    return node;
  }

  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.stop()));
  });

  test('a founded node serves, says so, and ends cleanly when asked to', async () => {
    const node = await serve('n1', FOUND);
    await node.ready();
    expect(await node.say(['PING', 'SET k v', 'GET k', 'GET absent'], 5)).toEqual([
      '+PONG',
      '+OK',
      '$1',
      'v',
      '$-1',
    ]);
    expect((await node.http('/healthz')).status).toBe(200);
    expect(await node.metric('ingot_partition_states{state="primary"}')).toBe(8);
    expect(await node.metric('ingot_keys')).toBe(1);
    expect(await node.metric('ingot_commands_total{command="set"}')).toBe(1);
    expect(await node.metric('ingot_keyspace_misses_total')).toBe(1);
    node.signal('SIGTERM');
    expect(await node.ended).toBe(0);
  });

  test('over three nodes each command is counted once, where it is executed', async () => {
    const n1 = await serve('n1', FOUND);
    await n1.ready();
    const join = ['--join', n1.control, ...SMALL];
    const n2 = await serve('n2', join);
    const n3 = await serve('n3', join);
    const all = [n1, n2, n3];
    await Promise.all(all.map((node) => node.ready()));
    const sets = Array.from({ length: 10_000 }, (_, i) => `SET key-${i} value-${i}`);
    const replies = await n2.say(sets);
    expect(replies.filter((reply) => reply !== '+OK')).toEqual([]);
    const sumOf = async (series: string) => {
      const values = await Promise.all(all.map((node) => node.metric(series)));
      return values.reduce((total, value) => total + value);
    };
    expect(await sumOf('ingot_commands_total{command="set"}')).toBe(10_000);
    expect(await sumOf('ingot_command_seconds_count{command="set"}')).toBe(10_000);
    expect(await sumOf('ingot_keys')).toBe(10_000);
    expect(await sumOf('ingot_forwarded_total')).toBeGreaterThan(0);
    expect(await n3.say(['GET key-77', 'GET key-9999'], 4)).toEqual([
      '$8',
      'value-77',
      '$10',
      'value-9999',
    ]);
  });

  test('a port that is in use: one sentence, exit code 4', async () => {
    const server = createServer().listen({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const node = await serve('n1', FOUND, { ports: { ...(await freePorts()), follower: port } });
    expect(await node.ended).toBe(4);
    expect(node.output).toMatch(new RegExp(`port ${port} .*in use.*--follower-port`));
    server.close();
  });
});
