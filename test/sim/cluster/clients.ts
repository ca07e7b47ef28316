/** Clients of a simulated cluster: each sends one command after the other, through any node, and remembers what it was
 *  told. A command without an answer may have been executed, or may yet be. */
import type { Partition } from '@ingot/store';
import { linearizabilityBroken, type Operation } from '../../support/linearizable.ts';
import { Broken } from '../trace.ts';
import type { ClusterNode } from './cluster-node.ts';
import type { ClusterRun, WrittenAt } from './cluster-run.ts';
import type { SimProcess } from './host.ts';
import type { Command, Reply } from './serving.ts';

const clientCount = 5;
const keysPerPartition = 3;
const answerMs = 4_000;
const thinkMsMax = 160;
const patienceMs = 60_000;

interface Seen extends Operation {
  readonly partition: number;
  readonly era: number;
  readonly acks: Command['acks'];
}

export class Clients {
  readonly #run: ClusterRun;
  readonly #process: SimProcess;
  #history: Seen[] = [];
  /** Per partition: +1 where writes may have been lost as the cluster was told that they might. */
  readonly #eras: number[];
  /** Since when the era runs, as events are counted. */
  readonly #eraSince: number[];
  #round = 0;
  #values = 0;
  #underWay = 0;
  active = true;

  constructor(run: ClusterRun, partitions: number) {
    this.#run = run;
    this.#process = run.world.addHost('clients').boot();
    this.#eras = Array.from({ length: partitions }, () => 0);
    this.#eraSince = Array.from({ length: partitions }, () => 0);
    for (let i = 0; i < clientCount; i++) this.#turnSoon();
  }

  newEra(partition: number): void {
    this.#eras[partition]++;
    this.#eraSince[partition] = this.#run.world.scheduler.eventCount;
  }

  #turnSoon(): void {
    const { random } = this.#run.world;
    this.#process.later(random.next() * thinkMsMax, () => {
      const again = (): void => this.#turnSoon();
      if (this.active) this.#turn().then(again, again);
      else again();
    });
  }

  async #turn(): Promise<void> {
    const { random } = this.#run.world;
    const partition = random.below(this.#eras.length);
    const kind = random.chance(0.6) ? 'write' : 'read';
    const acks = random.chance(0.8) ? 'isr' : 'local';
    const name = `${acks}${random.below(keysPerPartition)}`;
    await this.#send({ kind, acks, partition, key: this.#key(partition, name), value: '' });
  }

  #key(partition: number, name: string): string {
    return `${this.#round}.${this.#eras[partition]}.${partition}.${name}`;
  }

  /** One more read, of a key that is written just now. */
  readAt(node: string, partition: number, key: string): void {
    void this.#send({ kind: 'read', acks: 'isr', partition, key, value: '' }, node);
  }

  /** Returns the key. */
  writeAt(node: string, partition: number): string {
    const key = this.#key(partition, 'isr0');
    void this.#send({ kind: 'write', acks: 'isr', partition, key, value: '' }, node);
    return key;
  }

  /** From a client on the machine itself, at this very moment. */
  writeInside(node: string, partition: number): void {
    const key = this.#key(partition, 'isr1');
    void this.#send({ kind: 'write', acks: 'isr', partition, key, value: '' }, node, true);
  }

  /** Large values, one after the other and faster than anybody else writes. */
  burst(node: string, partition: number, writes: number): void {
    const command = { kind: 'write', acks: 'local', partition, value: '' } as const;
    for (let i = 0; i < writes; i++) {
      const key = this.#key(partition, `burst${i % keysPerPartition}`);
      this.#process.later(i, () => void this.#send({ ...command, key, isLarge: true }, node));
    }
  }

  /** Returns whether it was executed and answered. */
  async #send(command: Command, at: string | null = null, isInside = false): Promise<boolean> {
    const { world } = this.#run;
    const { partition, key, kind, acks } = command;
    const era = this.#eras[partition];
    const value = kind === 'write' ? `v${++this.#values}` : '';
    const start = world.scheduler.eventCount;
    this.#underWay++;
    const asked = { ...command, value };
    const inside = this.#run.nodes().find(({ id }) => isInside && id === at);
    const reply = await (inside === undefined
      ? this.#ask(asked, at)
      : this.#askHere(asked, inside));
    this.#underWay--;
    const end = world.scheduler.eventCount;
    world.trace.count(`${kind}s with acks=${acks}: ${reply.kind}`);
    if (kind === 'flush') return reply.kind === 'ok';
    const seen = { key, kind, acks, partition, era, start };
    // What an answer says after the loss of the era is not claimed about.
    const isClaimed = era === this.#eras[partition];
    if (kind === 'write' && reply.kind !== 'refused') {
      const isKnown = reply.kind === 'ok' && isClaimed;
      this.#history.push({ ...seen, value, end: isKnown ? end : Number.POSITIVE_INFINITY });
    }
    if (kind === 'read' && reply.kind === 'ok' && isClaimed) {
      this.#history.push({ ...seen, value: reply.value, end });
    }
    return reply.kind === 'ok';
  }

  /** The process may end with the answer. */
  #askHere(command: Command, { serving }: ClusterNode): Promise<Reply> {
    return new Promise((resolve) => {
      this.#process.later(answerMs, () => resolve({ kind: 'unknown' }));
      void serving.serve(command, false).then(resolve);
    });
  }

  async #ask(command: Command, at: string | null): Promise<Reply> {
    const { world } = this.#run;
    const to = at ?? world.pick(this.#run.machines)?.host.id ?? '';
    return await world.network
      .call<Reply>(
        this.#process,
        to,
        async (target) =>
          (await this.#run.nodeAt(target)?.serving.serve(command, false)) ?? { kind: 'refused' },
        { timeoutMs: answerMs },
      )
      .catch((): Reply => ({ kind: 'unknown' }));
  }

  /** Reads every key of this round, then judges all that was seen of it, and begins another round. In the end the
   *  copies must become equal. */
  async judge(whyNotEqual: () => string | null): Promise<void> {
    const { world } = this.#run;
    this.active = false;
    await world.run(patienceMs, () => this.#underWay === 0);
    const restsFrom = world.scheduler.eventCount;
    let left = 0;
    const names = Array.from({ length: keysPerPartition }, (_, i) => `isr${i}`);
    for (const [partition] of this.#eras.entries()) {
      for (const name of names) {
        left++;
        const key = this.#key(partition, name);
        void this.#readUntilAnswered(partition, key).then(() => left--);
      }
    }
    await world.run(patienceMs, () => left === 0);
    if (left > 0) throw new Broken('settles', `${left} keys cannot be read with acks=isr`);
    // Who may read rests on leases, and those on clocks.
    const claimed = this.#history.filter(
      ({ acks, kind, start }) =>
        acks === 'isr' && (kind === 'write' || !world.clocksAreWild || start >= restsFrom),
    );
    const broken = linearizabilityBroken(claimed);
    if (broken !== null) throw new Broken('linearizable', broken);
    this.#judgeKept();
    await world.run(patienceMs, () => whyNotEqual() === null);
    const different = whyNotEqual();
    if (different !== null) throw new Broken('equal', different);
    world.trace.count('operations judged', claimed.length);
    this.#history = [];
    this.#run.written.clear();
    await this.#flushAll();
    this.#round++;
    this.active = true;
  }

  /** Makes room. What was late of this round may come behind it: other rounds have other keys. */
  async #flushAll(): Promise<void> {
    let left = this.#eras.length;
    for (const partition of this.#eras.keys()) {
      const command = { kind: 'flush', acks: 'isr', partition, key: '', value: '' } as const;
      void this.#untilAnswered(command).then(() => left--);
    }
    await this.#run.world.run(patienceMs, () => left === 0);
    if (left > 0) throw new Broken('settles', `${left} partitions cannot be flushed`);
  }

  async #readUntilAnswered(partition: number, key: string): Promise<void> {
    await this.#untilAnswered({ kind: 'read', acks: 'isr', partition, key, value: '' });
  }

  async #untilAnswered(command: Command): Promise<void> {
    while (!(await this.#send(command))) {
      await new Promise<void>((resolve) => {
        this.#process.later(50, resolve);
      });
    }
  }

  /** Everything acknowledged is in what the primaries hold. */
  #judgeKept(): void {
    for (const [partition, era] of this.#eras.entries()) {
      const copy = this.#run.primaryCopy(partition);
      if (copy === null) continue;
      for (const seen of this.#history) {
        if (seen.partition !== partition || seen.era !== era || seen.kind !== 'write') continue;
        const at = this.#run.written.get(seen.value ?? '');
        if (seen.end === Number.POSITIVE_INFINITY || (at !== undefined && holds(copy, at)))
          continue;
        if (seen.acks === 'local') {
          this.#run.world.trace.count('writes with acks=local lost');
          continue;
        }
        throw new Broken('kept', `${seen.value} of ${seen.key} was acknowledged and is gone`);
      }
    }
  }
}

/** Whether a copy has what was written then: epochs begin at a seq, and what an epoch that ended wrote later is gone. */
function holds(copy: Partition, { epoch, seq }: WrittenAt): boolean {
  const history = copy.history();
  const at = history.findLastIndex(({ startSeq }) => startSeq <= seq);
  // The oldest epochs fall out of the history.
  if (at === -1) return epoch < (history[0]?.epoch ?? 0);
  return history[at].epoch === epoch && seq <= copy.committedSeq();
}
