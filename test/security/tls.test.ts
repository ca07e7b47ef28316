/** Mutual TLS between real node processes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestAuthority } from '../../packages/replication/src/authority.fixture.ts';
import { eventually } from '../support/eventually.ts';
import { CLEAN, ingot, ingotVerify } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { fill } from '../support/resp-connection.ts';
import { scrape } from '../support/scrape.ts';

type Issued = ReturnType<TestAuthority['issue']>;

let authority: TestAuthority;
let other: TestAuthority;
let cluster: LocalCluster;
const issued: Issued[] = [];

const flags = ({ paths }: Issued): string[] => [
  ...['--tls-cert', paths.cert, '--tls-key', paths.key, '--tls-ca', paths.ca],
];

beforeAll(async () => {
  authority = new TestAuthority();
  other = new TestAuthority();
  for (const name of ['n1', 'n2', 'n3']) issued.push(authority.issue(name));
  cluster = await LocalCluster.start({
    ...{ nodes: 2, capacity: '64mb', partitions: 4 },
    argsOf: (i) => flags(issued[i - 1]),
    credentials: { secret: null, certificates: issued[0] },
  });
});

afterAll(async () => {
  await cluster.stop();
  authority.remove();
  other.remove();
});

test('a cluster comes up, replicates, and verify is clean', async () => {
  await fill(cluster.node(1).ports.client, 2_000, (i) => [`key:${i}`, 'x'.repeat(100)]);
  await cluster.replicated();
  const answer = await ingotVerify(cluster.node(2).ports.control, flags(issued[1]));
  expect(answer).toMatchObject(CLEAN);
  expect(answer.report.chunksChecked).toBeGreaterThan(0);
  const { http } = cluster.node(1).ports;
  expect((await scrape(http)).sum('ingot_replication_sent_bytes_total')).toBeGreaterThan(100_000);
  const metrics = await scrape(http);
  const refused = metrics.sum('ingot_peers_refused_total');
  // Who takes too long on a busy machine comes again.
  expect(refused - metrics.sum('ingot_peers_refused_total', { reason: 'timeout' })).toBe(0);
});

describe('refused, with what to do', () => {
  const joining = (args: readonly string[]): Promise<{ exitCode: number | null; stderr: string }> =>
    ingot([
      ...['serve', '--id', 'n3', '--data-dir', `${authority.folder}/n3`, '--workers', '1'],
      ...['--join', `127.0.0.1:${cluster.node(1).ports.control}`],
      ...args,
    ]);

  test.each<[string, () => string[], string]>([
    ["another node's certificate", () => flags(issued[1]), 'does not name n3'],
    ['two of the three files', () => flags(issued[2]).slice(0, 4), 'give all three or none'],
    ['no certificate', () => [], 'the peer speaks TLS: start this side with --tls-cert'],
    [
      "a key that is another's",
      () => flags({ ...issued[2], paths: { ...issued[2].paths, key: issued[0].paths.key } }),
      'cannot be used together',
    ],
    [
      'a certificate of another authority',
      () => flags({ ...issued[2], paths: { ...other.issue('n3').paths, ca: issued[0].paths.ca } }),
      'the peer refused this side: the certificate is not accepted',
    ],
    [
      'a certificate that has expired',
      () => flags(authority.issue('n3', { days: -1 })),
      'the peer refused this side: the certificate is not accepted',
    ],
  ])('a node that joins with %s', async (_, args, sentence) => {
    const { exitCode, stderr } = await joining(args());
    expect(stderr).toContain(sentence);
    expect(exitCode).toBe(sentence.includes('all three') ? 2 : 4);
    expect((await cluster.view()).nodes).toHaveLength(2);
  });

  test('each is counted and logged by the node that refused', async () => {
    const { http } = cluster.node(1).ports;
    await eventually('counted', async () => {
      const metrics = await scrape(http);
      const count = (reason: string) => metrics.sum('ingot_peers_refused_total', { reason });
      return count('certificate') >= 2 && count('noTls') >= 1;
    });
    const said = cluster
      .node(1)
      .log.filter(({ event }) => event === 'peer.refused')
      .map((line) => String(line['msg']))
      .join('\n');
    expect(said).toContain('another CA has signed it');
    expect(said).toContain('the peer speaks no TLS: start it with');
  });
});
