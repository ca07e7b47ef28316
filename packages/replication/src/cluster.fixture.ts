/** Hubs on the loopback interface, for tests: real sockets, real stores, one partition unless asked for more. */
import {
  attachPartition,
  createPartition,
  type Geometry,
  type Partition,
  PartitionMap,
  planGeometry,
  ROLE_FOLLOWER,
} from '@ingot/store';
import type { AckBoard } from './ack-board.ts';
import type { Certificates } from './certificates.ts';
import type { ReplicationEvent } from './events.ts';
import { ReplicationHub } from './hub.ts';
import type { ClientLoad, SyncRate } from './pacer.ts';
import type { PartitionView } from './view.ts';

const HOST = '127.0.0.1';
const deadlineMs = 20_000;
const MIB = 1_048_576;

/** Images of 8 MiB, a ring of 1 MiB. */
export const smallGeometry: Geometry = planGeometry({
  partitions: 1,
  capacityBytes: 8 * MIB,
  capacityMaxBytes: 8 * MIB,
});

const noClients = (): ClientLoad => ({ receivedBytes: 0, runs: 0, waitedMs: 0 });

export class TestNode {
  readonly id: string;
  readonly partition: Partition;
  readonly map: PartitionMap;
  readonly hub: ReplicationHub;
  readonly events: ReplicationEvent[] = [];
  /** How far this node's clock is ahead. */
  clockAheadMs = 0;

  constructor(
    id: string,
    options: {
      clusterId?: string;
      geometry?: Geometry;
      incarnation?: number;
      secret?: Uint8Array;
      certificates?: Certificates;
      scrubEveryMs?: number;
      syncRate?: SyncRate;
      seeding?: boolean;
      board?: AckBoard;
    } = {},
  ) {
    this.id = id;
    this.partition = attachPartition(createPartition(options.geometry ?? smallGeometry, 0));
    this.map = new PartitionMap(this.partition);
    this.hub = new ReplicationHub({
      nodeId: id,
      incarnation: options.incarnation ?? 1,
      clusterId: options.clusterId ?? 'cluster',
      secret: options.secret ?? null,
      certificates: options.certificates ?? null,
      host: HOST,
      port: 0,
      wake: new Int32Array(new SharedArrayBuffer(8)),
      scrubEveryMs: options.scrubEveryMs ?? 0,
      log: (event) => this.events.push(event),
      seeding: options.seeding ?? true,
      ...(options.board === undefined ? {} : { board: options.board }),
      pacing: { rate: options.syncRate ?? 'max', load: noClients },
      nowMs: () => Date.now() + this.clockAheadMs,
    });
    this.hub.attach(this.partition);
  }

  /** `laterMs` plays a clock that is ahead: it begins a new generation. */
  set(key: string, value: string | Buffer, laterMs: number = 0): void {
    this.map.set(Buffer.from(key), Buffer.from(value), Date.now() + laterMs);
    this.hub.wake();
  }

  /** Writes until the redo ring has forgotten everything older. */
  lapRing(laterMs: number = 0): void {
    const value = Buffer.alloc(50_000, 7);
    const writes = Math.ceil(this.partition.geometry.ringBytes / value.length) + 2;
    for (let i = 0; i < writes; i++) this.set('lap', value, laterMs);
  }

  /** Fills so many chunks with records. */
  fill(chunks: number): void {
    for (let i = 0; i < chunks; i++) this.set(`fill:${i}`, Buffer.alloc(60_000, i));
  }

  eventsNamed(name: string): ReplicationEvent[] {
    return this.events.filter(({ event }) => event === name);
  }
}

export class TestCluster {
  readonly nodes: TestNode[] = [];
  #partition: Partial<PartitionView> = {};

  async start(...nodes: TestNode[]): Promise<void> {
    for (const node of nodes) {
      this.nodes.push(node);
      await node.hub.listen();
    }
  }

  /** The map: `primary` leads in `epoch`, `followers` follow. Tells roles, then hubs. `port` stands in for the
   *  primary's own. */
  lead(
    primary: TestNode,
    followers: readonly TestNode[],
    options: { epoch?: number; port?: number; only?: readonly TestNode[] } = {},
  ): void {
    const epoch = options.epoch ?? 1;
    if (primary.partition.epoch() !== epoch) primary.partition.promote(epoch, Date.now());
    for (const follower of followers) follower.partition.setRole(ROLE_FOLLOWER, epoch);
    this.#partition = {
      id: 0,
      epoch,
      primary: primary.id,
      followers: followers.map(({ id }) => id),
      primaryAddress: { host: HOST, port: options.port ?? primary.hub.port },
    };
    for (const node of options.only ?? this.nodes) this.configure(node);
  }

  configure(node: TestNode, change: Partial<PartitionView> = {}): void {
    node.hub.configure({
      mapVersion: 1,
      partitions: [{ ...(this.#partition as PartitionView), ...change }],
      incarnations: Object.fromEntries(this.nodes.map(({ id }) => [id, 1])),
      addresses: Object.fromEntries(
        this.nodes.map(({ id, hub }) => [id, { host: HOST, port: hub.port }]),
      ),
    });
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) await node.hub.close();
  }
}

/** Waits for a condition; fails with its name. */
export async function until(claim: string, holds: () => boolean): Promise<void> {
  const giveUpMs = Date.now() + deadlineMs;
  while (!holds()) {
    if (Date.now() > giveUpMs) throw new Error(`never happened: ${claim}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Waits until the copy is current, consistent and checked, then compares the images. */
export async function untilEqual(primary: TestNode, follower: TestNode): Promise<void> {
  await until(
    `${follower.id} equals ${primary.id}`,
    () =>
      follower.partition.consistent() &&
      follower.partition.checked() &&
      follower.partition.stats().seq === primary.partition.stats().seq,
  );
  if (!follower.partition.imageBuffer.equals(primary.partition.imageBuffer)) {
    throw new Error(`the image of ${follower.id} differs from that of ${primary.id}`);
  }
}
