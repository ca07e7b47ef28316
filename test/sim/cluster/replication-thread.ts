/** The replication worker of a simulated node: the product's hub, over simulated links and in simulated time. */
import {
  type AckBoard,
  type PartitionReplicationStatus,
  type ReplicationEvent,
  ReplicationHub,
} from '@ingot/replication';
import { attachPartition, type PartitionHandle } from '@ingot/store';
import { replicationView } from '../../../packages/node/src/process/replication-view.ts';
import type { ClusterMap } from '../../../packages/node/src/shared/map.ts';
import type { SimProcess } from './host.ts';
import { Mailbox } from './mailbox.ts';
import type { SimLinks } from './sim-link.ts';
import { SimSleep } from './sim-sleep.ts';

const signOfLifeMs = 1_250;

export class ReplicationThread {
  readonly hub: ReplicationHub;
  readonly sleep: SimSleep;
  readonly #toHub: Mailbox;
  readonly #back: Mailbox;
  readonly #nodeId: string;

  constructor(process: SimProcess, links: SimLinks, board: AckBoard, incarnation: number) {
    const { world, id } = process.host;
    this.#nodeId = id;
    this.#toHub = new Mailbox(process);
    this.#back = new Mailbox(process);
    this.sleep = new SimSleep(process);
    this.hub = new ReplicationHub({
      ...{ nodeId: id, incarnation, clusterId: 'simulated' },
      ...{ host: '', port: 1, wake: new Int32Array(2), sleeper: this.sleep, board },
      network: links,
      timers: {
        later: process.later,
        soon: (then) => void process.later(world.random.next() * 0.02, then),
      },
      nowMs: process.wallMs,
      monotonicMs: process.nowMs,
      signOfLifeMs,
      seedChunksMin: 1,
      log: (event) => this.#log(process, event),
    });
    void this.hub.listen();
  }

  #log(process: SimProcess, told: ReplicationEvent): void {
    const { world } = process.host;
    const { event, kind, reason, code } = told;
    const what = kind === undefined ? (code ?? reason ?? '') : `${kind}, ${reason}`;
    if (event === 'syncFinished') world.trace.count(`replication: ${kind} syncs`);
    const [short] = `${what}`.split(':');
    world.trace.count(`replication: ${event} ${short}`.trimEnd());
    world.note(`${process.name} ${JSON.stringify(told)}`);
  }

  post(message: () => void): void {
    this.#toHub.post(message);
  }

  ask<Answer>(question: () => Answer | Promise<Answer>): Promise<Answer> {
    return this.#toHub.ask(this.#back, question);
  }

  attach(handle: PartitionHandle): void {
    this.post(() => this.hub.attach(attachPartition(handle)));
  }

  configure(map: ClusterMap): void {
    this.post(() => this.hub.configure(replicationView(map, this.#nodeId)));
  }

  status(): Promise<PartitionReplicationStatus[]> {
    return this.ask(() => this.hub.status());
  }
}
