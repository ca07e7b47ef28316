import { afterEach, describe, expect, it } from 'vitest';
import { NO_CREDENTIALS } from '../shared/credentials.ts';
import { ClientAuth } from './client-auth.ts';
import { TestCluster } from './cluster.fixture.ts';

let cluster: TestCluster;
afterEach(() => cluster?.stop());

const NOAUTH = '-NOAUTH Authentication required.';
const secret = Buffer.from('a secret of the cluster');
const closed = { ...NO_CREDENTIALS, secret, password: 'sesame' };

describe('a node with a password', () => {
  it('answers a client that has not given it NOAUTH, whatever it asks, and then serves it', async () => {
    cluster = await TestCluster.start(1, 1, {}, { credentials: closed });
    const client = await cluster.client();
    const asked = [['GET', 'a'], ['SET', 'a', '1'], ['MULTI'], ['INFO'], ['INGOT.SEQS', '0']];
    expect(await client.pipeline(asked)).toEqual(asked.map(() => NOAUTH));
    expect(await client.call('NOSUCH')).toMatch(/^-ERR unknown command/);
    expect(await client.call('AUTH', 'wrong')).toMatch(/^-WRONGPASS /);
    expect(
      await client.pipeline([
        ['AUTH', 'sesame'],
        ['SET', 'a', '1'],
        ['GET', 'a'],
      ]),
    ).toEqual(['OK', 'OK', '1']);
    expect(cluster.counter(0, 'authFailures')).toBe(1);
  });

  it('takes small commands alone before, and ends who sends others', async () => {
    cluster = await TestCluster.start(1, 1, {}, { credentials: closed });
    const refused = async (bytes: string): Promise<unknown> => {
      const client = await cluster.client();
      client.write(bytes);
      return (await client.receive(2))[0];
    };
    expect(await refused('*11\r\n')).toBe('-ERR Protocol error: unauthenticated multibulk length');
    expect(await refused('*1\r\n$16385\r\n')).toBe(
      '-ERR Protocol error: unauthenticated bulk length',
    );
    const client = await cluster.client();
    const keys = Array.from({ length: 20 }, (_, i) => `key${i}`);
    const large = ['SET', 'a', 'v'.repeat(20_000)];
    const replies = await client.pipeline([['AUTH', 'sesame'], ['DEL', ...keys], large]);
    expect(replies).toEqual(['OK', 0, 'OK']);
  });

  it('believes links of nodes that have the secret, whatever their password', async () => {
    cluster = await TestCluster.start(2, 2, {}, { credentials: closed });
    const client = await cluster.client();
    await client.call('AUTH', 'sesame');
    const [here, there] = [cluster.keyIn(0), cluster.keyIn(1)];
    expect(
      await client.pipeline([
        ['SET', here, '1'],
        ['SET', there, '2'],
        ['GET', there],
      ]),
    ).toEqual(['OK', 'OK', '2']);
  });

  it('believes no link that cannot prove it', async () => {
    cluster = await TestCluster.start(1, 1, {}, { credentials: closed });
    const client = await cluster.client(0, 'cluster');
    const asked = String(await client.call('INGOT.LINK'));
    expect(asked).toMatch(/^PROVE [0-9a-f]{32}$/);
    expect(await client.call('GET', 'a')).toBe(NOAUTH);
    const stranger = new ClientAuth({ ...closed, secret: Buffer.from('another secret') });
    expect(await client.call('INGOT.PROVE', `${stranger.proof(asked.slice(6))}`)).toMatch(
      /^-WRONGPASS the link did not prove/,
    );
    const again = await cluster.client(0, 'cluster');
    expect(await again.call('INGOT.PROVE', 'a')).toMatch(/^-WRONGPASS /);
  });
});

describe('proofs of links', () => {
  const proves = (one: object, other: object): boolean => {
    const [judge, link] = [one, other].map(
      (given) => new ClientAuth({ ...NO_CREDENTIALS, ...given }),
    );
    const nonce = judge.nonce();
    return judge.proves(nonce, `${link.proof(nonce)}`);
  };

  it('by the secret, by the other one while it is changed, or by the password where there is none', () => {
    const other = Buffer.from('the next secret');
    expect(proves({ secret, password: 'a' }, { secret, password: 'b' })).toBe(true);
    expect(proves({ secret, otherSecret: other, password: 'a' }, { secret: other })).toBe(true);
    expect(proves({ secret, password: 'a' }, { secret: other, password: 'b' })).toBe(false);
    expect(proves({ password: 'a' }, { password: 'a' })).toBe(true);
    expect(proves({ password: 'a' }, { password: 'b' })).toBe(false);
    expect(proves({ password: 'a' }, {})).toBe(false);
  });
});
