/** Damaged bytes to the doors that no client uses: frames and handshakes to the replication port, gRPC to the control port,
 *  requests to the HTTP port. Nodes go on serving, their copies stay equal, and what a real peer says is still heard. */
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { ControlClient } from '../../packages/node/src/control/control-client.ts';
import { PLAIN_ACCESS } from '../../packages/node/src/control/peer-credentials.ts';
import { viewOf } from '../../packages/node/src/cli/cluster-view.ts';
import {
  FRAME_HEADER_BYTES,
  HELLO,
  PING,
  REFUSE,
  WELCOME,
  encodeHeader,
  invalid,
  payloadChecksum,
} from '../../packages/replication/src/frame.ts';
import {
  encodeHello,
  type Hello,
  MACHINE_BYTE_ORDER,
} from '../../packages/replication/src/hello.ts';
import { ConnectingPreamble } from '../../packages/replication/src/preamble.ts';
import { CHUNK_BYTES, FORMAT_VERSION, planGeometry } from '@ingot/store';
import { randomFrom } from '../support/random.ts';
import { exchange } from './exchange.ts';
import { cutAtRandom } from './feeding.ts';
import { mutated } from './mutators.ts';
import type { Fuzzed, Fuzzing } from './parts.ts';
import { type Case, CASES_APART, Rounds } from './rounds.ts';
import { Tally } from './tally.ts';
import { CAPACITY_BYTES, type Door, onTargets, PARTITIONS, type Targets } from './targets.ts';

const PIECES_MAX = 10;
/** A door that keeps a connection open waits for more: whoever has heard nothing for so long breaks it off. */
const PATIENCE_MS = 300;
const HELLOS = 24;
const FRAMES_MAX = 6;
const TYPES_MAX = 12;
const ODD_SHARE = 0.2;
/** Of a frame's header. */
const TYPE_AT = 4;
const PAYLOAD_BYTES_AT = 8;
const CHUNK_AT = 28;
const PAYLOAD_SUM_AT = 40;
const HEADER_SUM_AT = 44;
const ODD = [0, 1, 2, 3, 255, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

const OUTCOMES = ['replication', 'control', 'http'].flatMap((name) => [
  `${name}: answered`,
  `${name}: ended by the node`,
]);

/** What the replication port says to a HELLO: both must come. */
const FRAMES = ['replication: WELCOME', 'replication: REFUSE'];

type Kind = 'replication' | 'control' | 'http';
type Corpora = Readonly<Record<Kind, readonly Buffer[]>>;

export async function fuzzDoors({ seed, goesOn, targets: given }: Fuzzing): Promise<Fuzzed> {
  const tally = new Tally([...OUTCOMES, ...FRAMES, 'http: 200', 'witness rounds']);
  const broken = await onTargets(given, async (targets) => {
    const corpora: Corpora = {
      replication: await framesFor(targets, randomFrom(seed)),
      control: [await recordedCall(targets.nodes[0].ports.control)],
      http: requests(),
    };
    const saying = { doors: targets.innerDoors, draw: drawing(seed, corpora), problemOf };
    return new Rounds(targets, saying, tally).run(goesOn);
  });
  return { broken, tally };
}

function kindOf({ port, node }: Door): Kind {
  if (port === node.ports.http) return 'http';
  return port === node.ports.control ? 'control' : 'replication';
}

function drawing(seed: number, corpora: Corpora): (doors: readonly Door[], i: number) => Case {
  const pieces = Object.values(corpora).flat();
  return (doors, i) => {
    const random = randomFrom(seed * CASES_APART + i);
    const door = doors[i % doors.length];
    const own = corpora[kindOf(door)];
    // Now and then what another door expects.
    const bytes = mutated(random() < 0.9 ? own : pieces, random);
    return { door, bytes, cutsSeed: Math.floor(random() * 2 ** 31), ends: 'half' };
  };
}

async function problemOf({ door, bytes, cutsSeed }: Case, tally?: Tally): Promise<string | null> {
  const cuts = cutAtRandom(bytes, randomFrom(cutsSeed), PIECES_MAX);
  const kind = kindOf(door);
  tally?.case();
  try {
    const heard = await exchange(door.port, bytes, cuts, 'half', PATIENCE_MS);
    tally?.count(`${kind}: ended by the node`);
    if (heard.bytes.length === 0) return null;
    tally?.count(`${kind}: answered`);
    if (kind === 'http' && heard.bytes.includes('200 OK')) tally?.count('http: 200');
    const frameAt = heard.bytes.indexOf('INGF');
    const type = heard.bytes[frameAt + TYPE_AT];
    if (kind === 'replication' && frameAt >= 0 && (type === WELCOME || type === REFUSE)) {
      tally?.count(FRAMES[type - WELCOME]);
    }
  } catch {
    // It keeps the connection, which has been broken off.
  }
  return null;
}

/** Frames with sums that are right, so that what is behind them is looked at, too. */
async function framesFor(targets: Targets, random: () => number): Promise<readonly Buffer[]> {
  const view = viewOf(await statusOf(targets.nodes[0].ports.control));
  const preamble = new ConnectingPreamble(
    { purpose: 'replication', secret: null, nonce: Buffer.alloc(32, 7), node: null },
    true,
  );
  const opening = preamble.start().send ?? Buffer.alloc(0);
  const { chunkCount } = planGeometry({ partitions: PARTITIONS, capacityBytes: CAPACITY_BYTES });
  const odd = (): number => ODD[Math.floor(random() * ODD.length)];
  const pick = <T>(...items: readonly T[]): T => items[Math.floor(random() * items.length)];
  const frame = (type: number, payload: Buffer, epoch = pick(1, 2, odd())): Buffer => {
    const isOdd = random() < ODD_SHARE;
    const fields = {
      seq: pick(0, 1, odd()),
      generation: pick(0, 1, odd()),
      clockMs: pick(0, 1e12),
    };
    const sum = payload.length === 0 ? 0 : payloadChecksum(payload);
    const plain = {
      type,
      flags: 0,
      chunk: 0,
      epoch,
      payloadBytes: payload.length,
      payloadCrc32: sum,
    };
    const header = { ...plain, ...fields };
    if (invalid(header) === null && !isOdd) return Buffer.concat([encodeHeader(header), payload]);
    // One that its sender would never write, with a sum that is right.
    const bytes = encodeHeader({ ...header, type: PING, payloadBytes: 0, payloadCrc32: 0 });
    bytes[TYPE_AT] = type;
    bytes.writeUInt32LE(pick(payload.length, odd()), PAYLOAD_BYTES_AT);
    bytes.writeUInt32LE(pick(0, odd()), CHUNK_AT);
    bytes.writeUInt32LE(sum, PAYLOAD_SUM_AT);
    bytes.writeUInt32LE(payloadChecksum(bytes.subarray(0, HEADER_SUM_AT)), HEADER_SUM_AT);
    return Buffer.concat([bytes, payload]);
  };
  /** As a follower of the cluster says it: most of them get no further than the first word that is wrong. */
  const sound = (): Hello => {
    const { id, incarnation } = pick(...view.nodes);
    return {
      ...{ storeFormat: FORMAT_VERSION, byteOrder: MACHINE_BYTE_ORDER, clusterId: view.clusterId },
      ...{ nodeId: id, incarnation, partition: Math.floor(random() * PARTITIONS) },
      ...{ partitions: PARTITIONS, chunkBytes: CHUNK_BYTES, chunkCount, valueMaxBytes: 2 ** 20 },
      ...{ base: null, consistent: false, checked: false, seedable: false, snapshot: false },
      ...{ guest: false },
      ...{ history: [], stamps: new Uint32Array(0) },
    };
  };
  const wrong = (): Partial<Hello> =>
    pick<Partial<Hello>>(
      { storeFormat: odd() & 0xffff },
      { clusterId: 'another' },
      { nodeId: 'n9' },
      { incarnation: odd() },
      { partition: odd() },
      { partitions: odd() },
      { chunkBytes: odd() },
      { chunkCount: odd() },
      { valueMaxBytes: odd() },
      { base: { epoch: odd(), seq: odd(), generation: odd() }, consistent: true, checked: true },
      { stamps: new Uint32Array(5).fill(odd()) },
    );
  const hello = (): Buffer => {
    const said = { ...sound(), ...(random() < ODD_SHARE ? wrong() : {}) };
    return frame(HELLO, encodeHello(said), view.partitions[said.partition]?.epoch);
  };
  const others = (): Buffer[] =>
    Array.from({ length: Math.floor(random() * FRAMES_MAX) }, () =>
      frame(
        Math.floor(random() * TYPES_MAX),
        Buffer.alloc(pick(0, 0, 4, 16, 24, 48, 64), odd() & 255),
      ),
    );
  const talks = Array.from({ length: HELLOS }, () => Buffer.concat([hello(), ...others()]));
  return [
    ...talks,
    ...talks.map((bytes) => Buffer.concat([opening, bytes])),
    ...[opening, frame(PING, Buffer.alloc(0)), Buffer.alloc(FRAME_HEADER_BYTES)],
  ];
}

async function statusOf(port: number): ReturnType<ControlClient['status']> {
  const client = new ControlClient(`127.0.0.1:${port}`, null, PLAIN_ACCESS);
  try {
    return await client.status('cluster');
  } finally {
    client.close();
  }
}

/** What a client of the control port says for `ingot status`. */
async function recordedCall(port: number): Promise<Buffer> {
  const said: Buffer[] = [];
  const server = createServer((accepted) => {
    const there = connect({ port, host: '127.0.0.1' });
    accepted.on('data', (bytes: Buffer) => said.push(bytes));
    accepted.pipe(there).pipe(accepted);
    for (const socket of [accepted, there]) socket.on('error', () => socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  await statusOf((server.address() as AddressInfo).port);
  server.close();
  return Buffer.concat(said);
}

function requests(): Buffer[] {
  const paths = [
    '/',
    '/metrics',
    '/healthz',
    '/readyz',
    '/nosuch',
    '/%00',
    `/${'x'.repeat(20_000)}`,
    '*',
  ];
  const methods = ['GET', 'POST', 'HEAD', 'OPTIONS', 'CONNECT', 'PRI', 'NOSUCH'];
  const headers = [
    ...['', 'Connection: close\r\n', 'Content-Length: 5\r\n\r\nhello', 'Content-Length: -1\r\n'],
    ...[
      'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n',
      'Expect: 100-continue\r\n',
      'Upgrade: h2c\r\n',
    ],
    ...[
      'Accept-Encoding: gzip\r\nAccept: application/openmetrics-text\r\n',
      `X: ${'y'.repeat(30_000)}\r\n`,
    ],
  ];
  const simple = paths.flatMap((path) =>
    methods.map((method) => `${method} ${path} HTTP/1.1\r\nHost: x\r\n\r\n`),
  );
  const odd = headers.map((header) => `GET /metrics HTTP/1.1\r\nHost: x\r\n${header}\r\n`);
  return [...simple, ...odd].map((text) => Buffer.from(text));
}
