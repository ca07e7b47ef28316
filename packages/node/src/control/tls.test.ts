/** Control connections under TLS: real gRPC on loopback, certificates made for the test. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TestAuthority } from '../../../replication/src/authority.fixture.ts';
import { type Credentials, NO_CREDENTIALS } from '../shared/credentials.ts';
import { EXIT_REFUSED } from '../shared/errors.ts';
import { ControlClient } from './control-client.ts';
import { type TestMember, TestMembers } from './control-plane.fixture.ts';
import { PLAIN_ACCESS } from './peer-credentials.ts';

let authority: TestAuthority;
let other: TestAuthority;
let members: TestMembers;

beforeAll(() => {
  authority = new TestAuthority();
  other = new TestAuthority();
});
afterAll(() => {
  authority.remove();
  other.remove();
});
beforeEach(() => {
  members = new TestMembers();
});
afterEach(() => members.close());

const certified = (name: string, secret: Uint8Array | null = null): Credentials => ({
  secret,
  certificates: authority.issue(name),
});
const addressOf = ({ settings }: TestMember): string => `127.0.0.1:${settings.ports.control}`;
const refusedBy = ({ plane }: TestMember): string[] =>
  Object.entries(plane.refusals())
    .filter(([, count]) => count > 0)
    .map(([reason]) => reason);
const refused = (sentence: string): unknown =>
  expect.objectContaining({ exitCode: EXIT_REFUSED, message: expect.stringContaining(sentence) });

async function ask<T>(
  member: TestMember,
  credentials: Credentials,
  question: (client: ControlClient) => Promise<T>,
): Promise<T> {
  const { clusterId } = member.plane.map();
  const client = new ControlClient(addressOf(member), clusterId, { ...PLAIN_ACCESS, credentials });
  try {
    return await question(client);
  } finally {
    client.close();
  }
}

test.each([null, Buffer.from('the secret of this very cluster')])(
  'nodes with certificates form a cluster, with secret %s',
  async (secret) => {
    const n1 = await members.start('n1', { found: true, credentials: certified('n1', secret) });
    const join = [addressOf(n1)];
    const n2 = await members.start('n2', { join, credentials: certified('n2', secret) });
    await members.settled(
      ({ nodes, placement }) =>
        nodes.length === 2 && placement.every((p) => p.followers.length > 0),
    );
    const status = await ask(n1, certified('n2', secret), (client) => client.status('cluster'));
    expect(status.map.nodes).toHaveLength(2);
    // Decided by the acceptor of the other.
    const { version } = await n2.plane.propose((map) => ({ ...map, minIsr: 2 }));
    await members.settled((map) => map.version >= version);
    expect(refusedBy(n1)).toEqual([]);
  },
);

describe('refused, with what to do', () => {
  let n1: TestMember;
  beforeEach(async () => {
    n1 = await members.start('n1', { found: true, credentials: certified('n1') });
  });

  test.each<[string, () => Credentials, string, string]>([
    [
      'a certificate of another authority',
      () => ({
        secret: null,
        certificates: { ...other.issue('n2'), ca: authority.issue('n2').ca },
      }),
      'the peer refused this side: the certificate is not accepted',
      'certificate',
    ],
    ['no TLS', () => NO_CREDENTIALS, 'the peer speaks TLS: start this side with', 'noTls'],
    [
      'the right certificate and a secret that nobody asked for',
      () => certified('n2', Buffer.from('a secret nobody has')),
      'the peer has no cluster secret',
      'noSecretHere',
    ],
  ])('a node that joins with %s', async (_, credentials, sentence, reason) => {
    const joining = members.start('n2', { join: [addressOf(n1)], credentials: credentials() });
    await expect(joining).rejects.toEqual(refused(sentence));
    expect(refusedBy(n1)).toEqual([reason]);
  });

  test('a node that joins under the name of another', async () => {
    const credentials = certified('n3');
    const joining = members.start('n2', { join: [addressOf(n1)], credentials });
    await expect(joining).rejects.toEqual(refused('it says it is n2: the certificate does not'));
    expect(n1.plane.map().nodes).toHaveLength(1);
  });

  test('a caller of the same authority that is no node of the map', async () => {
    const stranger = certified('backup');
    await expect(ask(n1, stranger, (client) => client.status('node'))).rejects.toEqual(
      refused('it names no node of the cluster map'),
    );
    await expect(ask(n1, stranger, (client) => client.readMap())).rejects.toEqual(
      refused('it names no node of the cluster map'),
    );
  });

  test('a caller of the same authority that would have a node leave, and is no node itself', async () => {
    const stranger = certified('backup');
    await expect(ask(n1, stranger, (client) => client.leave('n1'))).rejects.toEqual(
      refused('it names no node of the cluster map'),
    );
  });

  test('a peer that is another node than the one that was sought', async () => {
    const access = { ...PLAIN_ACCESS, credentials: certified('n2') };
    const client = new ControlClient(addressOf(n1), null, access, 'n2');
    await expect(client.status('node')).rejects.toEqual(refused("is not n2's"));
    client.close();
  });

  test('a peer whose certificate names no node of the map that it shows', async () => {
    const { certificates } = certified('n1');
    const pretender = await members.start('n5', {
      found: true,
      credentials: {
        secret: null,
        certificates: { ...authority.issue('n6'), ca: certificates?.ca ?? '' },
      },
    });
    const askAll = ask(pretender, certified('n5'), async (client) => {
      for await (const { progress } of client.verify([])) expect(progress).toBeDefined();
    });
    await expect(askAll).rejects.toEqual(refused('it names no node of the cluster map'));
  });

  test('a plain node asked with TLS', async () => {
    const plain = await members.start('n7', { found: true });
    await expect(ask(plain, certified('n7'), (client) => client.status('node'))).rejects.toEqual(
      refused('the peer speaks no TLS'),
    );
    expect(refusedBy(plain)).toEqual(['noTlsHere']);
  });
});
