/** The scrub of one simulated node: asks `Scrub` which chunk is next and `Inspection` what comes of it.
 *
 *  Stands where the hub's inspections stand in a node, without their promises. What they do goes through the gate,
 *  so it waits where a writer is inside. */
import { type CheckAnswer, Inspection, type InspectionAction, Scrub } from '@ingot/replication';
import type { SimCopy } from './copy.ts';
import type { SimNode } from './node.ts';

const roundMs = 6_000;
const bytesPerSecondMax = 64 * 1_048_576;

export class Scrubbing {
  readonly #node: SimNode;
  readonly #scrub: Scrub;
  readonly #inspections = new Map<SimCopy, Inspection>();

  constructor(node: SimNode) {
    this.#node = node;
    this.#scrub = new Scrub({ everyMs: roundMs, bytesPerSecondMax }, () => this.#targets());
  }

  tick(nowMs: number): void {
    for (const [copy, inspection] of this.#inspections) {
      this.#soon(copy, () => inspection.tick(nowMs));
    }
    const mark = this.#scrub.step(nowMs);
    if (mark === null) return;
    const copy = this.#node.copy(mark.partition);
    let inspection = this.#inspections.get(copy);
    if (inspection === undefined) {
      inspection = new Inspection(copy.partition);
      this.#inspections.set(copy, inspection);
    }
    const asking = inspection;
    this.#soon(copy, () =>
      copy.leads ? asking.inspect(mark.chunk, this.#inStep(copy), this.#node.clockMs()) : [],
    );
  }

  answered(copy: SimCopy, follower: string, answer: CheckAnswer): void {
    const inspection = this.#inspections.get(copy);
    if (inspection === undefined) return;
    this.#soon(copy, () => inspection.answered(follower, answer, this.#node.clockMs()));
  }

  lost(copy: SimCopy, follower: string, why: string): void {
    const inspection = this.#inspections.get(copy);
    if (inspection === undefined) return;
    this.#soon(copy, () => inspection.lost(follower, why, this.#node.clockMs()));
  }

  /** The copy is led elsewhere now. */
  stop(copy: SimCopy): void {
    const inspection = this.#inspections.get(copy);
    if (inspection === undefined || !this.#inspections.delete(copy)) return;
    this.#soon(copy, () => inspection.close('the primary has moved', this.#node.clockMs()));
  }

  #soon(copy: SimCopy, act: () => readonly InspectionAction[]): void {
    const { scheduler, replication } = this.#node;
    scheduler.after(0, replication, () => this.#perform(copy, act()), copy.gate);
  }

  #perform(copy: SimCopy, actions: readonly InspectionAction[]): void {
    const { trace, world } = this.#node;
    for (const action of actions) {
      if (action.kind === 'wake') this.#node.wake(copy.partition.id);
      else if (action.kind === 'log') {
        const { event, why = '', node = '', chunk = '' } = action.event;
        world.note(`${copy.name} scrub: ${event} of ${node}, chunk ${chunk} ${why}`);
        trace.count(`scrub: ${event}`);
      } else {
        trace.count('chunks scrubbed');
        for (const node of action.result.repaired) world.repaired(copy.partition.id, node);
      }
    }
  }

  #targets(): { partition: number; chunkCount: number }[] {
    return this.#node.copies
      .filter((copy) => copy.leads && this.#inStep(copy).length > 0)
      .map(({ partition }) => ({ partition: partition.id, chunkCount: partition.chunksTouched() }));
  }

  #inStep({ partition }: SimCopy): string[] {
    return this.#node
      .sessionsOf(partition.id)
      .filter(({ sender }) => sender?.state === 'streaming')
      .map(({ follower }) => follower);
  }
}
