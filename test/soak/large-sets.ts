/** SETs of the largest size through both nodes of a pair, a few at a time on each connection, and who follows: nobody may need
 *  another full sync than the first, and in the end the copies are equal. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { CLEAN, ingotVerify } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { keysOfPartitions } from '../support/partition-keys.ts';
import { scrape } from '../support/scrape.ts';

const CAPACITY = '640mb';
const PARTITIONS = 4;
/** A 16th of a partition. */
const VALUE_MAX_BYTES = 10 * 2 ** 20;
const KEYS_PER_PARTITION = 3;
const PIPELINE = 2;
const REPLIES_SHOWN_BYTES = 200;

export interface LargeSets {
  readonly sets: number;
  readonly seconds: number;
  readonly fullSyncsAtFirst: number;
  readonly fullSyncs: number;
  /** Of each reason, as `lapped 2, check 1`, or `none`. */
  readonly partialSyncs: string;
  /** What broke, or null. */
  readonly broken: string | null;
}

/** Sets away for so many milliseconds; `tick` hears how many were answered so far. */
export async function setLargest(ms: number, tick: (sets: number) => void): Promise<LargeSets> {
  const cluster = await LocalCluster.start({
    ...{ nodes: 2, copies: 2, capacity: CAPACITY, partitions: PARTITIONS },
  });
  try {
    return await setThrough(cluster, ms, tick);
  } finally {
    await cluster.stop();
  }
}

async function setThrough(
  cluster: LocalCluster,
  ms: number,
  tick: (sets: number) => void,
): Promise<LargeSets> {
  const fullSyncsOf = (): Promise<number> => cluster.sum('ingot_full_syncs_total');
  const fullSyncsAtFirst = await fullSyncsOf();
  const partialAtFirst = await partialSyncsOf(cluster);
  const value = randomBytes(VALUE_MAX_BYTES);
  const startMs = performance.now();
  let sets = 0;
  const answered = (): boolean => {
    tick(++sets);
    return performance.now() - startMs < ms;
  };
  const answers = await Promise.all(
    cluster.nodes.map(({ ports }, i) => setUntil(ports.client, i, value, answered)),
  );
  const seconds = (performance.now() - startMs) / 1_000;
  await cluster.replicated();
  const fullSyncs = await fullSyncsOf();
  const partialSyncs = more(partialAtFirst, await partialSyncsOf(cluster));
  const { exitCode, report } = await ingotVerify(cluster.node(1).ports.control);
  const isClean = exitCode === CLEAN.exitCode && report.differences.length === 0;
  const broken =
    answers.find((answer) => answer !== null) ??
    (fullSyncs === PARTITIONS && fullSyncsAtFirst === PARTITIONS ? null : 'more full syncs') ??
    (isClean ? null : `the copies differ: ${JSON.stringify(report)}`);
  return { sets, seconds, fullSyncsAtFirst, fullSyncs, partialSyncs, broken };
}

/** How many there were of each reason. */
async function partialSyncsOf(cluster: LocalCluster): Promise<Map<string, number>> {
  const scrapes = await Promise.all(cluster.running.map(({ ports }) => scrape(ports.http)));
  const counts = new Map<string, number>();
  for (const { name, labels, value } of scrapes.flatMap(({ samples }) => samples)) {
    if (name !== 'ingot_syncs_total' || labels['kind'] === 'full') continue;
    const reason = labels['reason'] ?? '';
    counts.set(reason, (counts.get(reason) ?? 0) + value);
  }
  return counts;
}

function more(before: Map<string, number>, after: Map<string, number>): string {
  const since = [...after].map(([reason, count]) => [reason, count - (before.get(reason) ?? 0)]);
  const counted = since.filter(([, count]) => count !== 0);
  return counted.map((entry) => entry.join(' ')).join(', ') || 'none';
}

/** Until `answered`, asked after each reply, says no. Returns a reply that is none of OK, or null. */
async function setUntil(
  port: number,
  first: number,
  value: Buffer,
  answered: () => boolean,
): Promise<string | null> {
  const tags = keysOfPartitions(PARTITIONS);
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  let next = first;
  const send = (): void => {
    const key = `{${tags[next % PARTITIONS]}}${next % KEYS_PER_PARTITION}`;
    next++;
    socket.write(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n`);
    socket.write(value);
    socket.write('\r\n');
  };
  for (let i = 0; i < PIPELINE; i++) send();
  const other = await replies(socket, () => {
    if (!answered()) return false;
    send();
    return true;
  });
  socket.destroy();
  return other;
}

/** Hears every OK until `next` says that none is waited for any more, and those under way have come. */
async function replies(socket: Socket, next: () => boolean): Promise<string | null> {
  let waiting = PIPELINE;
  let rest = '';
  for await (const bytes of socket) {
    const lines = (rest + (bytes as Buffer).toString('latin1')).split('\r\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line !== '+OK') return `a SET was answered ${line.slice(0, REPLIES_SHOWN_BYTES)}`;
      if (!next()) waiting--;
      if (waiting === 0) return null;
    }
  }
  return 'the node closed the connection';
}
