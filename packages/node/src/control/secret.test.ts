/** The cluster's secret on control connections: real gRPC on loopback. */
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Credentials, NO_CREDENTIALS } from '../shared/credentials.ts';
import { EXIT_REFUSED } from '../shared/errors.ts';
import { ControlClient } from './control-client.ts';
import { type TestMember, TestMembers, until } from './control-plane.fixture.ts';
import { PLAIN_ACCESS } from './peer-credentials.ts';

const OURS = { ...NO_CREDENTIALS, secret: Buffer.from('the secret of this very cluster') };
const OTHER = { ...NO_CREDENTIALS, secret: Buffer.from('the secret of some other cluster') };
const NONE = NO_CREDENTIALS;

let members: TestMembers;
const sockets: Socket[] = [];

beforeEach(() => {
  members = new TestMembers();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await members.close();
});

const addressOf = ({ settings }: TestMember): string => `127.0.0.1:${settings.ports.control}`;
const refusedBy = ({ plane }: TestMember): Record<string, number> =>
  Object.fromEntries(Object.entries(plane.refusals()).filter(([, count]) => count > 0));
const refusalsLoggedBy = ({ log }: TestMember): unknown[] =>
  log.lines.filter(({ event }) => event === 'peer.refused').map(({ reason }) => reason);

async function statusFrom(member: TestMember, credentials: Credentials) {
  const client = new ControlClient(addressOf(member), null, { ...PLAIN_ACCESS, credentials });
  try {
    return await client.status('node');
  } finally {
    client.close();
  }
}

test('nodes with one secret form a cluster; who holds it may ask', async () => {
  const n1 = await members.start('n1', { found: true, credentials: OURS });
  await members.start('n2', { join: [addressOf(n1)], credentials: OURS });
  await members.settled(({ nodes }) => nodes.length === 2);
  expect((await statusFrom(n1, OURS)).map.nodes).toHaveLength(2);
  expect(refusedBy(n1)).toEqual({});
});

describe('refused, with what to do, before gRPC reads a byte', () => {
  test.each([
    ['another secret', OURS, OTHER, 'otherSecret', 'give both nodes the same --secret-file'],
    ['none here', OURS, NONE, 'noSecret', 'start this side with that --secret-file'],
    ['none there', NONE, OURS, 'noSecretHere', 'the peer has no cluster secret'],
  ])('%s: a node that joins, and a question', async (_, first, second, reason, sentence) => {
    const n1 = await members.start('n1', { found: true, credentials: first });
    const wanted = expect.objectContaining({
      code: 'PEER_REFUSED',
      exitCode: EXIT_REFUSED,
      message: expect.stringContaining(sentence),
    });
    const joining = members.start('n2', { join: [addressOf(n1)], credentials: second });
    await expect(joining).rejects.toEqual(wanted);
    await expect(statusFrom(n1, second)).rejects.toEqual(wanted);
    expect(refusedBy(n1)[reason]).toBeGreaterThanOrEqual(2);
    expect(refusalsLoggedBy(n1)).toEqual([reason]); // once in a while
    expect(n1.plane.map().nodes).toHaveLength(1);
  });

  test('HTTP/2 without a proof gets a refusal that is no HTTP/2', async () => {
    const n1 = await members.start('n1', { found: true, credentials: OURS });
    const session = connectHttp2(`http://${addressOf(n1)}`);
    const error = await new Promise<Error>((resolve) => session.once('error', resolve));
    expect(error.message).toContain('Protocol error');
    expect(refusedBy(n1)).toEqual({ noSecret: 1 });
  });

  test('garbage gets nothing', async () => {
    const n1 = await members.start('n1', { found: true, credentials: OURS });
    const socket = connect(n1.settings.ports.control, '127.0.0.1');
    sockets.push(socket);
    const got: Buffer[] = [];
    socket.on('data', (bytes: Buffer) => got.push(bytes));
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await until(() => socket.destroyed);
    expect(got).toEqual([]);
    expect(refusedBy(n1)).toEqual({ stranger: 1 });
  });

  test('a peer that was believed to be another node', async () => {
    const n1 = await members.start('n1', { found: true, credentials: OURS });
    const access = { ...PLAIN_ACCESS, credentials: OURS };
    const client = new ControlClient(addressOf(n1), null, access, 'n9');
    await expect(client.status('node')).rejects.toThrow('another node than the one');
    client.close();
    expect(refusedBy(n1)).toEqual({ otherNode: 1 });
  });

  test('too many that have not proved themselves do not keep out who can', async () => {
    const n1 = await members.start('n1', { found: true, credentials: OURS });
    for (let i = 0; i < 300; i++) {
      const socket = connect(n1.settings.ports.control, '127.0.0.1');
      socket.on('error', () => undefined);
      sockets.push(socket);
    }
    await until(() => sockets.filter(({ destroyed }) => destroyed).length > 0);
    expect((await statusFrom(n1, OURS)).map.nodes).toHaveLength(1);
  });
});
