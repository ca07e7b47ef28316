/** The cluster's secret between real node processes: strangers get nothing, and everybody is told
 *  what to do. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSecretFile } from '../../packages/node/src/cli/secret.ts';
import { eventually } from '../support/eventually.ts';
import { CLEAN, ingot, ingotVerify, startIngot } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { freePort, nodePorts } from '../support/ports.ts';
import { scrape } from '../support/scrape.ts';
import { PORT_FLAGS, type Ports } from '../../packages/node/src/shared/settings.ts';

/** Whole clusters start in these. */
const PATIENT = { timeout: 180_000 };
/** No more than one message of the preamble, which says that the door is shut. */
const REFUSAL_BYTES = 72;
const SMALL = { capacity: '64mb', partitions: 4 };

let folder: string;
let secretFile: string;
let cluster: LocalCluster;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-secret-test-'));
  secretFile = fileOf('secret', 'the secret of this very cluster\n');
  cluster = await LocalCluster.start({
    nodes: 2,
    ...SMALL,
    args: ['--secret-file', secretFile],
    credentials: { secret: readSecretFile(secretFile), certificates: null },
  });
});

afterAll(async () => {
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
});

function fileOf(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, 0o600);
  return path;
}

/** Sends bytes and returns all that comes back until the other side closes. */
function say(port: number, bytes: string): Promise<Buffer> {
  return new Promise((resolve) => {
    const got: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    socket.on('data', (data: Buffer) => got.push(data));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(got)));
  });
}

const refused = async (httpPort: number, reason: string): Promise<number> =>
  (await scrape(httpPort)).sum('ingot_peers_refused_total', { reason });

/** `ingot serve` of a node that is to join the cluster; runs to its end. */
async function join2(args: readonly string[]) {
  const ports = await nodePorts();
  const names = Object.keys(PORT_FLAGS) as (keyof Ports)[];
  return ingot([
    ...['serve', '--id', 'n9', '--data-dir', join(folder, `n9-${ports.client}`), '--workers', '1'],
    ...names.flatMap((name) => [PORT_FLAGS[name], String(ports[name])]),
    ...args,
  ]);
}

test('a cluster with a secret replicates, and verify is clean', async () => {
  const answer = await ingotVerify(cluster.node(2).ports.control, ['--secret-file', secretFile]);
  expect(answer).toMatchObject(CLEAN);
  expect(answer.report.chunksChecked).toBeGreaterThan(0);
});

describe('a foreign program gets nothing, and the node logs and counts it', () => {
  test.each<[string, keyof Ports, string, string, string]>([
    [
      'HELLO on the replication port',
      'replication',
      'INGF\x01\x01\0\0',
      'noSecret',
      'handshakeFailed',
    ],
    [
      'garbage on the replication port',
      'replication',
      '*1\r\n$4\r\nPING\r\n',
      'stranger',
      'handshakeFailed',
    ],
    [
      'HTTP/2 on the control port',
      'control',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'noSecret',
      'peer.refused',
    ],
    [
      'garbage on the control port',
      'control',
      'GET / HTTP/1.1\r\n\r\n',
      'stranger',
      'peer.refused',
    ],
  ])('%s', async (_, port, bytes, reason, event) => {
    const { ports, log } = cluster.node(1);
    const before = await refused(ports.http, reason);
    const got = await say(ports[port], bytes);
    if (reason === 'stranger') expect(got.length).toBe(0);
    else {
      expect(got.length).toBe(REFUSAL_BYTES);
      expect(got.subarray(8)).toEqual(Buffer.alloc(64));
    }
    expect(await refused(ports.http, reason)).toBe(before + 1);
    const words = reason === 'noSecret' ? 'the peer has no cluster secret' : 'does not speak this';
    await eventually('it is logged', async () => {
      const lines = cluster
        .node(1)
        .log.slice(0)
        .filter((line) => line.event === event);
      return JSON.stringify(lines).includes(words) || log.length < 0;
    });
  });
});

describe('a node or a command without the right secret ends with exit code 4 and what to do', () => {
  const founder = (): string => `127.0.0.1:${cluster.node(1).ports.control}`;

  test('another secret', async () => {
    const other = fileOf('other', 'the secret of some other cluster');
    const args = ['--secret-file', other];
    const joined = await join2(['--join', founder(), ...args]);
    const sentence =
      'ingot: the peer has another cluster secret: give both nodes the same --secret-file';
    expect([joined.exitCode, joined.stderr]).toEqual([4, sentence]);
    const asked = await ingot(['status', '--node', founder(), ...args]);
    expect([asked.exitCode, asked.stderr]).toEqual([4, sentence]);
    const view = await cluster.view();
    expect(view.nodes.map(({ id }) => id)).toEqual(['n1', 'n2']);
  });

  test('none', async () => {
    const joined = await join2(['--join', founder()]);
    expect(joined.exitCode).toBe(4);
    expect(joined.stderr).toContain('start this side with that --secret-file');
    expect(joined.stdout).toContain('"event":"noSecret"');
    const asked = await ingot(['verify', '--node', founder()]);
    expect([asked.exitCode, asked.stderr]).toEqual([4, joined.stderr]);
  });

  test('one, where the cluster has none', PATIENT, async () => {
    const open = await LocalCluster.start({ nodes: 1, copies: 1, ...SMALL });
    try {
      const address = `127.0.0.1:${open.node(1).ports.control}`;
      const joined = await join2(['--join', address, '--secret-file', secretFile]);
      expect(joined.exitCode).toBe(4);
      expect(joined.stderr).toContain('the peer has no cluster secret: start it with the same');
      expect(await refused(open.node(1).ports.http, 'noSecretHere')).toBeGreaterThan(0);
    } finally {
      await open.stop();
    }
  });

  test('a file that others can read', async () => {
    const path = fileOf('open', 'the secret of this very cluster');
    chmodSync(path, 0o644);
    const joined = await join2(['--join', founder(), '--secret-file', path]);
    expect([joined.exitCode, joined.stderr]).toEqual([
      4,
      `ingot: the secret file ${path} is open to other users (mode 644); chmod 600 ${path}`,
    ]);
  });
});

test('a secret is changed while a node asks with either', PATIENT, async () => {
  const next = fileOf('next', 'the next secret of this very cluster');
  const changing = await LocalCluster.start({
    ...{ nodes: 1, copies: 1, ...SMALL },
    args: ['--secret-file', next, '--other-secret-file', secretFile],
    credentials: { secret: readSecretFile(secretFile), certificates: null },
  });
  try {
    const node = ['--node', `127.0.0.1:${changing.node(1).ports.control}`];
    const ask = async (file: string) =>
      (await ingot(['status', ...node, '--secret-file', file])).exitCode;
    expect([await ask(next), await ask(secretFile)]).toEqual([0, 0]);
    expect(await ask(fileOf('third', 'a secret that belongs to nobody'))).toBe(4);
  } finally {
    await changing.stop();
  }
});

test(
  'ingot up makes a secret by itself; ingot status finds it, and nobody sees it',
  PATIENT,
  async () => {
    const basePort = (await freePort()) - 1;
    const env = { XDG_RUNTIME_DIR: folder };
    const up = startIngot(
      [
        ...['up', '--nodes', '2', '--base-port', String(basePort), '--workers', '1'],
        ...['--capacity', '64mb', '--partitions', '4', '--data-dir', join(folder, 'up')],
      ],
      { env },
    );
    try {
      await eventually(
        'it is up',
        async () => up.stdoutLines.some((line) => line.startsWith('try: ')),
        {
          withinMs: 90_000,
        },
      );
      const status = await ingot(['status', '--json'], { env });
      expect(status.exitCode, status.stderr).toBe(0);
      expect((JSON.parse(status.stdout) as { nodes: unknown[] }).nodes).toHaveLength(2);
      const secret = Buffer.from(readSecretFile(join(folder, 'up', 'secret'))).toString();
      expect(up.stdoutLines.join('\n')).not.toContain(secret);
      const foreign = await ingot(['status', '--node', `127.0.0.1:${basePort + 201}`], {
        env: { XDG_RUNTIME_DIR: join(folder, 'of another user') },
      });
      expect(foreign.exitCode).toBe(4);
    } finally {
      await up.stop();
    }
    const after = await ingot(['status'], { env });
    expect([after.exitCode, after.stderr]).toEqual([3, expect.stringContaining('127.0.0.1:7600')]);
  },
);
