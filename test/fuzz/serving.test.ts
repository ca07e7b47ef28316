/** Every vector through a connection, however it is cut: as many replies as there are commands, always the same, then the
 *  error, if there is one, and the end; and what redis-server says to it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestCluster } from '../../packages/node/src/serving/cluster.fixture.ts';
import { NO_CREDENTIALS } from '../../packages/node/src/shared/credentials.ts';
import { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { randomFrom } from '../support/random.ts';
import { needs } from '../support/tools.ts';
import { type Exchange, exchange } from './exchange.ts';
import { byteByByte, type Cuts, cutAtRandom, whole } from './feeding.ts';
import { repliesOf } from './replies.ts';
import { type Vector, VECTORS } from './vectors.ts';

const PASSWORD = 'secret';
const BYTE_BY_BYTE_MAX = 2_000;
const SEEDS = 3;
const LONG_SEEDS = 1;
const PIECES_MAX = 40;

/** Without a password, and with one. */
let open: TestCluster;
let closed: TestCluster;

beforeAll(async () => {
  open = await TestCluster.start(2, 4);
  const credentials = { ...NO_CREDENTIALS, password: PASSWORD };
  closed = await TestCluster.start(1, 1, {}, { credentials });
});

afterAll(() => {
  open.stop();
  closed.stop();
});

/** What the table says comes back. Half a command is answered with nothing. */
async function say(port: number, vector: Vector, cuts: Cuts): Promise<Exchange> {
  return exchange(port, vector.bytes, cuts, vector.error === null ? 'half' : 'waits');
}

/** Our errors end with the reply, so a reset behind it may take it along: then there is none. */
function checkReplies(vector: Vector, { bytes, reset }: Exchange): void {
  const { replies, problem } = repliesOf(bytes);
  if (reset && vector.error !== null) return;
  expect(problem).toBeNull();
  expect(replies.length).toBe(vector.commands.length + (vector.error === null ? 0 : 1));
  if (vector.error === null) return;
  const text = vector.error.replace('\r', ' ');
  expect(replies.at(-1)?.toString()).toBe(`-${text}\r\n`);
}

/** The replies. What HELLO tells of server and connection is its own. */
function textsOf({ commands }: Vector, { bytes }: Exchange): string[] {
  const texts = repliesOf(bytes).replies.map((reply) => reply.toString('latin1'));
  return texts.map((text, i) => {
    const isHello = commands[i]?.[0] === 'HELLO' && text[0] !== '-';
    return isHello ? text.slice(0, text.indexOf('\r')) : text;
  });
}

describe('a connection: every vector, however it is cut', () => {
  test.each(VECTORS)('$name', async (vector) => {
    const { bytes } = vector;
    const port = (vector.unknown ? closed : open).nodes[0].ports.client;
    const first = await say(port, vector, whole(bytes));
    checkReplies(vector, first);
    const isLong = bytes.length > BYTE_BY_BYTE_MAX;
    const seeds = Array.from({ length: isLong ? LONG_SEEDS : SEEDS }, (_, i) => i + 1);
    const ways = seeds.map((seed) => cutAtRandom(bytes, randomFrom(seed), PIECES_MAX));
    if (!isLong) ways.push(byteByByte(bytes));
    for (const cuts of ways) {
      const other = await say(port, vector, cuts);
      checkReplies(vector, other);
      if (!other.reset) expect(textsOf(vector, other)).toEqual(textsOf(vector, first));
    }
  });
});

const redisServer = needs('redis-server');

describe.runIf(redisServer !== null)('redis-server says the same', () => {
  const ports = { open: 0, closed: 0 };
  const servers: Child[] = [];

  beforeAll(async () => {
    for (const name of ['open', 'closed'] as const) {
      const port = await freePort();
      const password = name === 'closed' ? ['--requirepass', PASSWORD] : [];
      const options = ['--port', `${port}`, '--save', '', '--appendonly', 'no'];
      servers.push(new Child(redisServer ?? '', [...options, ...password]));
      ports[name] = port;
    }
    const noBytes = Buffer.alloc(0);
    for (const port of Object.values(ports)) {
      await eventually('redis-server answers', () => exchange(port, noBytes, []));
    }
  });

  afterAll(async () => void (await Promise.all(servers.map((server) => server.stop()))));

  test.each(VECTORS.filter(({ redis }) => redis === null))('$name', async (vector) => {
    const which = vector.unknown ? 'closed' : 'open';
    const { nodes } = vector.unknown ? closed : open;
    const [ours, theirs] = await Promise.all(
      [nodes[0].ports.client, ports[which]].map((port) => say(port, vector, whole(vector.bytes))),
    );
    if (ours.reset || theirs.reset) return;
    expect(textsOf(vector, ours)).toEqual(textsOf(vector, theirs));
  });
});
