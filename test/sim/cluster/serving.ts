/** What data workers do, for one simulated node: role, seal and lease are looked at where a command is executed, the
 *  lease once more before its reply leaves, and replies with acks=isr wait for the product's AckBoard. */
import { Verdict } from '@ingot/replication';
import { nodeOf } from '../../../packages/node/src/shared/map.ts';
import type { ClusterNode } from './cluster-node.ts';

const flushMsMax = 2;
const forwardMs = 3_000;

export interface Command {
  readonly kind: 'read' | 'write';
  readonly acks: 'isr' | 'local';
  readonly partition: number;
  readonly key: string;
  /** Of a write; no two are the same. */
  readonly value: string;
}

export type Reply =
  | { readonly kind: 'ok'; readonly value: string | null }
  /** It was not executed, and will not be. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'unknown' };

interface Held {
  readonly partition: number;
  readonly epoch: number;
  readonly seq: number;
  readonly value: string | null;
  readonly answer: (reply: Reply) => void;
}

const refused: Reply = { kind: 'refused' };
const unknown: Reply = { kind: 'unknown' };

export class Serving {
  readonly #node: ClusterNode;
  #held: Held[] = [];

  constructor(node: ClusterNode) {
    this.#node = node;
  }

  async serve(command: Command, isForwarded: boolean): Promise<Reply> {
    const { applied, id, process, run } = this.#node;
    const { primary } = applied.placement[command.partition];
    if (primary === id) return await this.#execute(command);
    if (primary === null || isForwarded || nodeOf(applied, primary) === null) return refused;
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

  #execute({ kind, acks, partition, key, value }: Command): Promise<Reply> {
    const node = this.#node;
    const { run, leading, leads } = node;
    const led = leads.get(partition);
    if (led === undefined || led.sealed || !node.hasLease) return Promise.resolve(refused);
    const isIsr = acks === 'isr';
    if (isIsr && leading.board.members(partition) < node.applied.minIsr) {
      run.world.trace.count('commands refused: too few in sync');
      return Promise.resolve(refused);
    }
    const copy = node.copy(partition);
    if (kind === 'write') {
      copy.append({ epoch: led.epoch, key, value });
      run.tookWrite(partition, led.epoch, node.life);
      if (isIsr) run.wroteInSync(node, partition, key);
      leading.written(partition);
    }
    const found = kind === 'write' ? null : copy.value(key);
    const { epoch } = led;
    return new Promise((answer) => {
      const held = { partition, epoch, seq: copy.seq, value: found, answer };
      if (!isIsr) return this.#flush(held);
      this.#held.push(held);
      this.look();
    });
  }

  /** Acknowledgements, or roles, have changed. */
  look(): void {
    const { board } = this.#node.leading;
    const still: Held[] = [];
    for (const held of this.#held) {
      const verdict = board.verdict(held.partition, held.epoch, held.seq);
      if (verdict === Verdict.wait) still.push(held);
      else if (verdict === Verdict.leave) this.#flush(held);
      else held.answer(unknown);
    }
    this.#held = still;
  }

  #flush({ value, answer }: Held): void {
    const { process, run } = this.#node;
    process.later(run.world.random.next() * flushMsMax, () => {
      answer(this.#node.hasLease ? { kind: 'ok', value } : unknown);
    });
  }
}
