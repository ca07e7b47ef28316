/** A data worker of a simulated node: commands run in the product's passages, and replies with acks=isr wait where the
 *  product's do. It has a thread of its own, which another one may get ahead of right before a gate. */
import {
  attachPartition,
  hashKey,
  type Partition,
  type PartitionHandle,
  SET_OK,
} from '@ingot/store';
import { createCounters, WorkerCounters } from '../../../packages/node/src/metrics/layout.ts';
import {
  HeldReplies,
  type HeldRepliesHost,
  needKind,
} from '../../../packages/node/src/serving/held-replies.ts';
import { LogBoard } from '../../../packages/node/src/redo-log/log-board.ts';
import { Passage } from '../../../packages/node/src/serving/passage.ts';
import { type ClusterMap, nodeOf } from '../../../packages/node/src/shared/map.ts';
import { AWAIT_ISR } from '../../../packages/node/src/shared/settings.ts';
import { Broken } from '../trace.ts';
import type { ClusterNode } from './cluster-node.ts';
import { Mailbox } from './mailbox.ts';
import type { SimBoard } from './sim-board.ts';

const flushMsMax = 2;
const forwardMs = 3_000;
const lookMs = 100;
/** How often another thread gets to the gate first, and how much of what is due by then. */
const overtakenShare = 0.03;
const sealRaceShare = 0.5;
const overtakenMs = 4;
const overtakenEvents = 8;
/** Of a few size classes; some of the largest fill the ring. */
const valueBytes = [24, 24, 60, 120, 1_500, 5_000, 12_000];

export interface Command {
  /** A flush is a write, too. */
  readonly kind: 'read' | 'write' | 'flush';
  readonly acks: 'isr' | 'local';
  readonly partition: number;
  readonly key: string;
  /** Of a write; no two are the same. */
  readonly value: string;
  readonly isLarge?: boolean;
}

export type Reply =
  | { readonly kind: 'ok'; readonly value: string | null }
  /** It was not executed, and will not be. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'unknown' };

const refused: Reply = { kind: 'refused' };
const unknown: Reply = { kind: 'unknown' };
const error = 0x2d;

export class Serving implements HeldRepliesHost {
  readonly partitions: (Partition | null)[] = [];
  readonly counters = new WorkerCounters(createCounters());
  readonly workerIndex = 0;
  readonly log: LogBoard;
  map: ClusterMap;
  readonly #node: ClusterNode;
  readonly #box: Mailbox;
  readonly #lease = { holds: false };
  readonly #passage = new Passage(this.#lease);
  readonly #held: HeldReplies;
  #rightBeforeGate: (() => void) | null = null;

  constructor(node: ClusterNode, board: SimBoard, map: ClusterMap) {
    this.#node = node;
    this.#box = new Mailbox(node.process);
    this.log = LogBoard.create(map.partitions);
    this.#held = new HeldReplies(this, board);
    this.map = map;
    for (let i = 0; i < map.partitions; i++) this.partitions.push(null);
    node.process.every(lookMs, () => this.#held.look());
  }

  // ------------------------------------------------------------ what the main thread says

  attach(handle: PartitionHandle): void {
    this.#box.post(() => {
      this.partitions[handle.id] = this.#attached(handle);
    });
  }

  detach(partition: number): void {
    this.#box.post(() => {
      this.partitions[partition] = null;
    });
  }

  publish(map: ClusterMap): void {
    this.#box.post(() => {
      this.map = map;
      this.#held.look();
    });
  }

  rolesMoved(): void {
    this.#box.post(() => this.#held.look());
  }

  /** Now and then whoever else is due comes first. */
  #attached(handle: PartitionHandle): Partition {
    const partition = attachPartition(handle);
    const { scheduler, random, trace, control } = this.#node.run.world;
    const enter = partition.enter.bind(partition);
    partition.enter = () => {
      if (this.#rightBeforeGate !== null) this.#rightBeforeGate();
      else if (random.chance(overtakenShare)) {
        const limitMs = scheduler.nowMs + overtakenMs;
        const wasControlled = control.busy;
        control.busy = true;
        for (let i = 0; i < overtakenEvents && scheduler.runNext(limitMs); i++) {
          trace.count('events right before a gate');
        }
        control.busy = wasControlled;
      }
      enter();
    };
    return partition;
  }

  /** The main thread is about to do something to a partition that is led here. Now and then a write has just been found
   *  to be for this node, and `act` comes right before it gets to the gate. */
  overtaken<Outcome>(id: number, act: () => Outcome): Outcome {
    const { random } = this.#node.run.world;
    if (!random.chance(sealRaceShare)) return act();
    let outcome: { of: Outcome } | null = null;
    this.#rightBeforeGate = () => {
      outcome ??= { of: act() };
    };
    const write = {
      kind: 'write',
      acks: 'local',
      partition: id,
      key: 'late',
      value: 'late',
    } as const;
    this.#execute(write, () => {});
    this.#rightBeforeGate();
    this.#rightBeforeGate = null;
    return (outcome as unknown as { of: Outcome }).of;
  }

  // ------------------------------------------------------------ what the held replies ask

  monotonicMs(): number {
    return this.#node.process.nowMs();
  }

  wakeReplication(): void {
    this.#node.replication?.sleep.written();
  }

  hurryReplication(): void {
    this.#node.replication?.sleep.hurry();
  }

  // ------------------------------------------------------------ commands

  async serve(command: Command, isForwarded: boolean): Promise<Reply> {
    const { id, process, run } = this.#node;
    const { primary } = this.map.placement[command.partition];
    if (primary === id) {
      return await new Promise((answer) => process.onWorker(() => this.#execute(command, answer)));
    }
    if (primary === null || isForwarded || nodeOf(this.map, primary) === null) return refused;
    run.world.trace.count('commands forwarded');
    return await run.world.network
      .call(
        process,
        primary,
        async (target) => (await run.nodeAt(target)?.serving.serve(command, true)) ?? refused,
        { timeoutMs: forwardMs },
      )
      .catch(() => unknown);
  }

  #execute(command: Command, answer: (reply: Reply) => void): void {
    const { run } = this.#node;
    const partition = this.partitions[command.partition];
    const isIsr = command.acks === 'isr';
    this.#lease.holds = this.#node.hasLease;
    if (partition === null) return answer(refused);
    if (isIsr && command.kind !== 'read' && !this.#held.suffice(command.partition, AWAIT_ISR)) {
      run.world.trace.count('commands refused: too few in sync');
      return answer(refused);
    }
    const done =
      command.kind === 'read' ? this.#read(partition, command) : this.#write(partition, command);
    if (done === null) return answer(refused);
    const reply = Buffer.from(JSON.stringify(done.value));
    const flush = (bytes: Buffer): void => this.#flush(bytes, answer);
    if (isIsr) {
      this.#held.need(command.partition, done.epoch, needKind(AWAIT_ISR, command.kind !== 'read'));
      this.#held.settle(reply, { settle: flush });
    } else flush(reply);
  }

  #read(partition: Partition, { key }: Command): { epoch: number; value: string | null } | null {
    const epoch = partition.epoch();
    const token = partition.readBegin();
    if (!this.#lease.holds || !partition.mayWrite()) return null;
    const bytes = Buffer.from(key);
    const ref = partition.find(hashOf(bytes), bytes, 0, bytes.length, this.#node.process.wallMs());
    const value = ref === 0 ? null : valueAt(partition, ref);
    return partition.readEnd(token) ? { epoch, value } : null;
  }

  #write(partition: Partition, command: Command): { epoch: number; value: null } | null {
    const { run, life } = this.#node;
    if (!this.#passage.open(partition)) return null;
    const epoch = partition.epoch();
    if (!partition.mayWrite()) {
      const detail = `${this.#node.process.name}, partition ${partition.id}, epoch ${epoch}`;
      run.world.fail(new Broken('inside', detail));
    }
    run.tookWrite(partition.id, epoch, life);
    const isDone = this.#mutate(partition, command);
    const seq = partition.committedSeq();
    this.#passage.close();
    if (!isDone) {
      run.world.trace.count('writes refused: no memory');
      return null;
    }
    if (command.kind === 'write') run.wrote(command, { epoch, seq });
    if (command.acks === 'isr') run.wroteInSync(this.#node, partition.id, command.key);
    this.wakeReplication();
    return { epoch, value: null };
  }

  #mutate(partition: Partition, { kind, key, value, isLarge }: Command): boolean {
    const { process, run } = this.#node;
    const nowMs = process.wallMs();
    if (kind === 'flush') {
      partition.flush(nowMs);
      return true;
    }
    const bytes = Buffer.from(key);
    const length = isLarge === true ? valueBytes.at(-1) : run.world.pick(valueBytes);
    const padded = Buffer.from(value.padEnd(length ?? 0, ' '));
    const hash = hashOf(bytes);
    const outcome = partition.set(hash, bytes, 0, bytes.length, padded, 0, padded.length, 0, nowMs);
    return outcome === SET_OK;
  }

  #flush(bytes: Buffer, answer: (reply: Reply) => void): void {
    const { process, run } = this.#node;
    process.later(run.world.random.next() * flushMsMax, () => {
      if (bytes[0] === error || !this.#node.hasLease) return answer(unknown);
      answer({ kind: 'ok', value: JSON.parse(bytes.toString()) as string | null });
    });
  }
}

function hashOf(key: Buffer): number {
  return hashKey(key, 0, key.length);
}

function valueAt(partition: Partition, ref: number): string {
  const at = partition.valueOffset(ref);
  return partition.imageBuffer.toString('latin1', at, at + partition.valueBytes(ref)).trimEnd();
}
