/** Several nodes' data planes on one thread, over real sockets, for tests: partitions, map and role
 *  words are in the test's hands, as the control plane would have them. */

import { AckBoard } from '@ingot/replication';
import { createServer, type AddressInfo, connect, type Socket } from 'node:net';
import { once } from 'node:events';
import {
  attachPartition,
  createPartition,
  type Partition,
  type PartitionHandle,
  planGeometry,
  ROLE_FOLLOWER,
  slotOfKey,
} from '@ingot/store';
import { createLeaseWord, LeaseWriter } from '../lease/lease-word.ts';
import { FOREVER } from '../lease/lease-holder.ts';
import { Counter, createCounters, WorkerCounters } from '../metrics/layout.ts';
import { ReplyScanner } from '../resp/reply-scanner.ts';
import { NO_CREDENTIALS } from '../shared/credentials.ts';
import { plainEntry, plainMap, plainNode } from '../shared/map.fixture.ts';
import { LogBoard } from '../redo-log/log-board.ts';
import type { ClusterMap } from '../shared/map.ts';
import type { Ports, RespLimits, Settings } from '../shared/settings.ts';
import { encode } from './peer-link.ts';
import type { ListenerKind } from './session.ts';
import { answer } from './worker-answers.ts';
import { ServingWorker } from './worker.ts';

const HOST = '127.0.0.1';
const MIB = 2 ** 20;
const LIMITS: RespLimits = {
  maxBulkBytes: 2 ** 29,
  maxArguments: 2 ** 20,
  maxQueryBufferBytes: 2 ** 30,
  maxTransitBytes: 2 ** 28,
  maxClients: 10_000,
  maxClientsBytes: 0,
  authTimeoutMs: 0,
  idleTimeoutMs: 0,
  output: { hardBytes: 0, softBytes: 0, softSeconds: 0 },
};

export interface TestNode {
  readonly id: string;
  readonly worker: ServingWorker;
  readonly counters: WorkerCounters;
  readonly partitions: Partition[];
  readonly ports: Ports;
  readonly wake: Int32Array;
  readonly lease: LeaseWriter;
  /** In the test's hands, as the replication worker would have it. */
  readonly board: AckBoard;
  /** What it has logged: the event, and its fields. */
  readonly logged: [event: string, fields: Readonly<Record<string, unknown>>][];
}

export class TestCluster {
  readonly nodes: TestNode[] = [];
  readonly clients: TestClient[] = [];
  map!: ClusterMap;

  /** `partitions` in turn belong to the nodes; every node holds memory for all of them. */
  static async start(
    nodeCount: number,
    partitions: number,
    limits: Partial<RespLimits> = {},
    options: Partial<Settings> = {},
  ): Promise<TestCluster> {
    const cluster = new TestCluster();
    const ids = Array.from({ length: nodeCount }, (_, i) => `n${i}`);
    const ports = await Promise.all(ids.map(() => freePorts()));
    const placement = Array.from({ length: partitions }, (_, id) =>
      plainEntry(ids[id % nodeCount]),
    );
    const geometry = planGeometry({ partitions, capacityBytes: partitions * 8 * MIB });
    cluster.map = plainMap({
      copies: 1,
      capacityBytes: partitions * 8 * MIB,
      capacityMaxBytes: partitions * 8 * MIB,
      valueMaxBytes: geometry.valueMaxBytes,
      minIsr: options.minIsr ?? 1,
      nodes: ids.map((id, i) => plainNode(id, { advertise: HOST, ports: ports[i] })),
      placement,
    });
    for (const [i, id] of ids.entries()) {
      const handles = placement.map((_, partition) => createPartition(geometry, partition));
      handles.forEach((handle, partition) => {
        if (placement[partition]?.primary === id) attachPartition(handle).promote(1, Date.now());
      });
      cluster.nodes.push(
        await startNode(id, ports[i], cluster.map, handles, {
          ...options,
          limits: { ...LIMITS, ...limits },
        }),
      );
    }
    return cluster;
  }

  async client(node = 0, kind: ListenerKind = 'client'): Promise<TestClient> {
    const client = await TestClient.connect(this.nodes[node].ports[kind]);
    this.clients.push(client);
    return client;
  }

  /** A key of this partition. */
  keyIn(partition: number, tag = ''): string {
    for (let i = 0; ; i++) {
      const key = Buffer.from(`key${tag}${i}`);
      const slot = slotOfKey(key, 0, key.length);
      if (Math.floor((slot * this.map.partitions) / 16_384) === partition) return key.toString();
    }
  }

  partition(node: number, partition: number): Partition {
    return this.nodes[node].partitions[partition];
  }

  counter(node: number, name: keyof typeof Counter): number {
    return this.nodes[node].counters.get(Counter[name]);
  }

  /** A new map in which partition `id` is led by `node`, or by nobody. Not yet told to anyone. */
  moved(id: number, node: number | null): ClusterMap {
    const placement = this.map.placement.map((entry, partition) =>
      partition === id
        ? { ...entry, epoch: entry.epoch + 1, primary: node === null ? null : `n${node}` }
        : entry,
    );
    this.map = { ...this.map, version: this.map.version + 1, placement };
    return this.map;
  }

  tell(map: ClusterMap, ...nodes: number[]): void {
    for (const node of nodes) this.nodes[node].worker.mapChanged(map);
  }

  demote(node: number, partition: number): void {
    this.partition(node, partition).setRole(ROLE_FOLLOWER, 1);
  }

  promote(node: number, partition: number): void {
    this.partition(node, partition).promote(2, Date.now());
    this.nodes[node].worker.roleChanged();
  }

  stop(): void {
    for (const client of this.clients) client.close();
    for (const node of this.nodes) node.worker.stop();
  }
}

async function startNode(
  id: string,
  ports: Ports,
  map: ClusterMap,
  handles: readonly PartitionHandle[],
  options: Partial<Settings>,
): Promise<TestNode> {
  const { capacityBytes, capacityMaxBytes, partitions, copies } = map;
  const settings: Settings = {
    ...{ id, host: HOST, advertise: HOST, ports, dataDir: '', found: true, join: [] },
    ...{ capacityBytes, capacityMaxBytes, partitions, copies, valueMaxBytes: null },
    ...{
      eviction: 'sieve',
      minIsr: 1,
      uncleanFailover: true,
      witness: false,
      followOnly: false,
      snapshotEveryMs: 0,
      acks: 'local',
      failoverWaitMs: 5_000,
      staleMaxMs: 5_000,
      pinMaxMs: 30_000,
      forgetAfterMs: 0,
      workers: 1,
      prealloc: false,
      scrubEveryMs: 0,
      durability: 'none',
      logBytesMax: 0,
      checkpointEveryMs: 0,
      checkpointBytesPerSecond: 0,
      syncRate: 'max',
      insecure: false,
      logLevel: 'silent',
    },
    ...{ limits: LIMITS, testDoor: false, credentials: NO_CREDENTIALS },
    ...options,
  };
  const counters = createCounters();
  const wake = new Int32Array(new SharedArrayBuffer(8));
  const word = createLeaseWord();
  const lease = new LeaseWriter(word);
  lease.begin(1);
  lease.extend(FOREVER);
  const board = AckBoard.create(map.partitions, 1);
  const logged: TestNode['logged'] = [];
  const worker: ServingWorker = new ServingWorker(
    {
      acks: board.buffer,
      log: LogBoard.create(map.partitions).buffer,
      logStart: { cutAt: null, bytes: 0, copies: [] },
      lease: word,
      ...{ settings, nodeId: id, incarnation: 1, workerIndex: 0, map, handles, wake, counters },
      sealed: [],
      clientCounters: [counters],
    },
    // Without a main thread its one worker is all that can be asked.
    async (what, asked) => {
      if (what === 'nodeStats' || what === 'resetStats' || what === 'stopNode')
        throw new Error('no main thread');
      return [answer(worker, what, asked)];
    },
    (_, event, fields = {}) => logged.push([event, fields]),
  );
  await worker.listen();
  return {
    id,
    worker,
    counters: new WorkerCounters(counters),
    partitions: worker.partitions as Partition[],
    ports,
    wake,
    lease,
    board,
    logged,
  };
}

async function freePorts(): Promise<Ports> {
  const names = ['client', 'replication', 'control', 'http', 'cluster', 'follower'] as const;
  const servers = names.map(() => createServer().listen(0, HOST));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return Object.fromEntries(names.map((name, i) => [name, ports[i]])) as unknown as Ports;
}

/** A client that shows replies as they are on the wire, without the type of bulks: values as text,
 *  errors with their dash, arrays as arrays, nil as null. */
export class TestClient {
  readonly socket: Socket;
  closed = false;
  private readonly scanner: ReplyScanner = new ReplyScanner();
  private readonly replies: unknown[] = [];
  private waiters: { count: number; resolve: (replies: unknown[]) => void }[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.scanner.push(data);
      while (this.scanner.next()) {
        const { buffer, start, end } = this.scanner;
        this.replies.push(decode(buffer.toString('latin1', start, end)).value);
      }
      this.serveWaiters();
    });
    socket.on('close', () => {
      this.closed = true;
      this.serveWaiters();
    });
    socket.on('error', () => {});
  }

  static async connect(port: number): Promise<TestClient> {
    const socket = connect({ port, host: HOST, noDelay: true });
    await once(socket, 'connect');
    return new TestClient(socket);
  }

  /** One command given as words, its reply. */
  async call(...words: string[]): Promise<unknown> {
    return (await this.pipeline([words]))[0];
  }

  /** Commands in one write, their replies. */
  pipeline(commands: readonly (readonly string[])[]): Promise<unknown[]> {
    this.write(Buffer.concat(commands.map((command) => encode(command))));
    return this.receive(commands.length);
  }

  write(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }

  /** The next `count` replies; fewer when the connection ends before. */
  receive(count: number): Promise<unknown[]> {
    const { promise, resolve } = Promise.withResolvers<unknown[]>();
    this.waiters.push({ count, resolve });
    this.serveWaiters();
    return promise;
  }

  /** Replies that came unasked. */
  get unread(): number {
    return this.replies.length;
  }

  close(): void {
    this.socket.destroy();
  }

  private serveWaiters(): void {
    for (;;) {
      const waiter = this.waiters[0];
      if (waiter === undefined || (this.replies.length < waiter.count && !this.closed)) return;
      this.waiters.shift();
      waiter.resolve(this.replies.splice(0, waiter.count));
    }
  }
}

function decode(text: string, at = 0): { value: unknown; next: number } {
  const lineEnd = text.indexOf('\r\n', at);
  const line = text.slice(at + 1, lineEnd);
  const next = lineEnd + 2;
  switch (text[at]) {
    case ':':
      return { value: Number(line), next };
    case '$':
      if (line === '-1') return { value: null, next };
      return { value: text.slice(next, next + Number(line)), next: next + Number(line) + 2 };
    case '_':
      return { value: null, next };
    case '*':
    case '%': {
      if (line === '-1') return { value: null, next };
      const values: unknown[] = [];
      let from = next;
      for (let i = 0; i < Number(line) * (text[at] === '%' ? 2 : 1); i++) {
        const element = decode(text, from);
        values.push(element.value);
        from = element.next;
      }
      return { value: values, next: from };
    }
    case '-':
      return { value: `-${line}`, next };
    default:
      return { value: line, next };
  }
}
