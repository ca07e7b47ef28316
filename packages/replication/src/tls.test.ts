/** Replication connections under TLS: real sockets, real stores, certificates made for the test. */
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TestAuthority } from './authority.fixture.ts';
import { type Certificates, tlsOptions } from './certificates.ts';
import { TestCluster, TestNode, until, untilEqual } from './cluster.fixture.ts';

const SECRET = Buffer.from('the secret of this very cluster');

let authority: TestAuthority;
let other: TestAuthority;
let ofA: Certificates;
let ofB: Certificates;
let cluster: TestCluster;

beforeAll(() => {
  authority = new TestAuthority();
  other = new TestAuthority();
  ofA = authority.issue('a');
  ofB = authority.issue('b');
});
afterAll(() => {
  authority.remove();
  other.remove();
});
beforeEach(() => {
  cluster = new TestCluster();
});
afterEach(() => cluster.stop());

type Options = NonNullable<ConstructorParameters<typeof TestNode>[1]>;

async function pair(first: Options, second: Options): Promise<[TestNode, TestNode]> {
  const [a, b] = [new TestNode('a', first), new TestNode('b', second)];
  await cluster.start(a, b);
  cluster.lead(a, [b]);
  a.fill(20);
  return [a, b];
}

const refusedOn = (node: TestNode): string[] =>
  Object.entries(node.hub.counters().peersRefused)
    .filter(([, count]) => count > 0)
    .map(([reason]) => reason);
const reasonsOf = (node: TestNode): string =>
  node.events.map(({ reason }) => String(reason ?? '')).join('\n');

test.each([null, SECRET])('a copy becomes equal under TLS, with secret %s', async (secret) => {
  const more = secret === null ? {} : { secret };
  const [a, b] = await pair({ certificates: ofA, ...more }, { certificates: ofB, ...more });
  await untilEqual(a, b);
  a.set('key', 'after the bulk');
  await untilEqual(a, b);
  expect([...refusedOn(a), ...refusedOn(b)]).toEqual([]);
  expect(a.hub.counters().chunkBytesSent).toBeGreaterThan(20 * 65_536);
});

describe('refused, and both sides say what to do', () => {
  test.each([
    ['of another authority', () => other.issue('b'), 'another CA has signed it'],
    ['that has expired', () => authority.issue('b', { days: -1 }), 'it has expired'],
  ])('a certificate %s', async (_, certificateOf, words) => {
    const issued = certificateOf();
    const [a, b] = await pair({ certificates: ofA }, { certificates: { ...issued, ca: ofA.ca } });
    await until('both refused', () => refusedOn(a).length > 0 && refusedOn(b).length > 0);
    expect(refusedOn(a)).toEqual(['certificate']);
    expect(reasonsOf(a)).toContain(`${words}: the certificate is not accepted`);
    expect(reasonsOf(b)).toContain('the peer refused this side: the certificate is not accepted');
    expect(b.partition.stats().keys).toBe(0);
  });

  test("a primary with another node's certificate", async () => {
    const [, b] = await pair({ certificates: authority.issue('z') }, { certificates: ofB });
    await until('refused', () => refusedOn(b).includes('certificateName'));
    expect(reasonsOf(b)).toContain("is not a's: the certificate does not name the node");
  });

  test("a follower with another node's certificate is told so in a REFUSE", async () => {
    const [a, b] = await pair({ certificates: ofA }, { certificates: authority.issue('z') });
    await until('refused', () => b.eventsNamed('refused').length > 0);
    expect(refusedOn(a)).toEqual(['certificateName']);
    expect(reasonsOf(b)).toContain('certificate: it says it is b');
    expect(a.hub.counters().chunkBytesSent).toBe(0);
  });

  test('a wildcard, or a name in other letters, is nobody', async () => {
    const names = { dnsNames: ['*', 'B'] };
    const [a] = await pair({ certificates: ofA }, { certificates: authority.issue('B', names) });
    await until('refused', () => refusedOn(a).includes('certificateName'));
  });

  test('a follower without TLS, a primary without TLS', async () => {
    const [a, b] = await pair({ certificates: ofA }, {});
    await until('both refused', () => refusedOn(a).length > 0 && refusedOn(b).length > 0);
    expect([refusedOn(a), refusedOn(b)]).toEqual([['noTls'], ['noTlsHere']]);
    const [c, d] = [new TestNode('a'), new TestNode('b', { certificates: ofB })];
    await cluster.start(c, d);
    cluster.lead(c, [d], { only: [c, d] });
    await until('these, too', () => refusedOn(c).length > 0 && refusedOn(d).length > 0);
    expect([refusedOn(c), refusedOn(d)]).toEqual([['noTlsHere'], ['noTls']]);
  });

  test('the right certificate and another secret', async () => {
    const [a, b] = await pair(
      { certificates: ofA, secret: SECRET },
      { certificates: ofB, secret: Buffer.from('some other secret') },
    );
    await until('both refused', () => refusedOn(a).length > 0 && refusedOn(b).length > 0);
    expect([refusedOn(a), refusedOn(b)]).toEqual([['otherSecret'], ['otherSecret']]);
  });

  test('no certificate at all; an older TLS; garbage', async () => {
    const [a, b] = await pair({ certificates: ofA }, { certificates: ofB });
    await untilEqual(a, b);
    const { ca } = ofA;
    const address = { host: '127.0.0.1', port: a.hub.port };
    const bare = connectTls({ ...address, ca, checkServerIdentity: () => undefined });
    const old = connectTls({
      ...address,
      ...tlsOptions(ofB),
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
    });
    const noise = connect(address);
    for (const socket of [bare, old, noise]) socket.on('error', () => {}).resume();
    noise.write('GET / HTTP/1.1\r\n\r\n');
    await until('all closed', () => [bare, old, noise].every(({ destroyed }) => destroyed));
    await until('counted', () => refusedOn(a).length === 2);
    expect(refusedOn(a).sort()).toEqual(['certificate', 'noTls']);
    expect(reasonsOf(a)).toContain('or none was shown');
    a.set('others', 'are unaffected');
    await untilEqual(a, b);
  });
});
