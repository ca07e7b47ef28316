/** Copies of long values that a follower answers with: made before the command runs, a little per turn.
 *
 *  Nothing can be pinned there, for its bytes change as they come off the wire. When the command runs it takes a copy
 *  only where the record still has the seq that was copied; where it has not, all of it begins again, ROUNDS_MAX
 *  times; then the command copies inside the gate.
 *  Bound: the copies of a worker together are held to its allowance, until they have left. */

import type { Buffer } from 'node:buffer';
import { COPY_MORE, COPY_WHOLE, hashKey, type Partition } from '@ingot/store';
import type { Allowance, Holder } from './allowance.ts';
import type { Desk } from './desk.ts';
import { PINNED_BYTES_MIN } from './pinned-value.ts';
import type { GivenValue } from './reply-values.ts';

const STEPS_PER_TURN = 8;
export const ROUNDS_MAX = 8;

export class Copying implements Holder {
  readonly round: number;
  readonly copies: GivenValue[] = [];
  private readonly desk: Desk;
  private readonly partition: Partition;
  private readonly keys: readonly Buffer[];
  private readonly allowance: Allowance;
  private bytes = 0;
  private dropped = false;
  /** Replies that use a copy, and the command itself. */
  private uses = 1;

  constructor(
    desk: Desk,
    partition: Partition,
    keys: readonly Buffer[],
    allowance: Allowance,
    round: number,
  ) {
    this.desk = desk;
    this.partition = partition;
    this.keys = keys;
    this.allowance = allowance;
    this.round = round;
  }

  async run(): Promise<void> {
    for (const key of this.keys) {
      if (this.dropped) return;
      await this.copy(key);
    }
  }

  private async copy(key: Buffer): Promise<void> {
    const { partition, desk } = this;
    const nowMs = desk.host.nowMs();
    const hash = hashKey(key, 0, key.length);
    // A glance, to spare short values the copy: torn, it says anything.
    const ref = partition.find(hash, key, 0, key.length, nowMs);
    const bytes = ref === 0 ? 0 : partition.valueBytes(ref);
    if (bytes < PINNED_BYTES_MIN || bytes > partition.geometry.valueMaxBytes) return;
    await this.grant(bytes);
    // A bulk that begins meanwhile writes over the bytes before it writes over the seq.
    const landings = partition.landings();
    if (!partition.consistent()) return;
    const copy = partition.values.beginCopy(hash, key, 0, key.length, nowMs);
    let state = COPY_MORE;
    while (!this.dropped) {
      for (let i = 0; state === COPY_MORE && i < STEPS_PER_TURN; i++) state = copy.step();
      if (state !== COPY_MORE) break;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    if (state !== COPY_WHOLE || this.dropped) return;
    if (partition.landings() !== landings) return;
    const { seq, value } = copy;
    this.copies.push({ seq, value: value as Buffer, use: () => this.use() });
  }

  private async grant(bytes: number): Promise<void> {
    this.bytes += bytes;
    await new Promise<void>((resolve) => {
      if (this.allowance.ask(this, this.bytes, resolve)) resolve();
    });
  }

  private use(): () => void {
    this.uses++;
    let isOver = false;
    return () => {
      if (!isOver) this.release();
      isOver = true;
    };
  }

  /** One use less. */
  private release(): void {
    if (--this.uses === 0) this.allowance.free(this);
  }

  /** The command has run, or nobody wants it any more. */
  drop(): void {
    if (this.dropped) return;
    this.dropped = true;
    this.release();
  }

  /** Readers that are too slow are ended by their connection. */
  isStalled(): boolean {
    return false;
  }

  endStalled(): void {}
}
