/** Hosts the inspections of the partitions led here: for `ingot verify`, which walks all chunks at once, and for the
 *  scrub, which does it slowly for ever.
 *
 *  Owner: `Leading`, which says who can be asked, and passes answers, losses and time in.
 *  Bounded: at most `outstandingMarkersMax` chunks of a partition under inspection for one `verify`, as many of all
 *  partitions for the scrub. */
import type { Partition } from '@ingot/store';
import { type CheckAnswer, outstandingMarkersMax } from './checks.ts';
import { type Inspected, Inspection, type InspectionAction } from './inspection.ts';
import type { NodeState } from './node-state.ts';
import { Scrub, type ScrubProgress, type ScrubTarget, scrubBytesPerSecondMax } from './scrub.ts';
import { addResult, type VerifyReport } from './verify.ts';

const theNodeStops = 'the node stops';

export interface InspectionsHost {
  readonly state: NodeState;
  /** Followers of a partition that are in step, so that they answer markers. */
  inStep(partition: number): readonly string[];
  /** There is redo to send that no data worker wrote. */
  wake(): void;
}

export interface ScrubStatus extends ScrubProgress {
  /** 0 = off. */
  readonly everyMs: number;
}

export class Inspections {
  readonly #host: InspectionsHost;
  readonly #scrub: Scrub;
  readonly #scrubEveryMs: number;
  readonly #inspections = new Map<number, { partition: Partition; inspection: Inspection }>();
  readonly #waiting = new Map<string, ((result: Inspected) => void)[]>();
  #scrubUnderWay = 0;
  #scrubRounds = 0;
  #closed = false;

  constructor(host: InspectionsHost, scrubEveryMs: number) {
    this.#host = host;
    this.#scrubEveryMs = scrubEveryMs;
    const options = { everyMs: scrubEveryMs, bytesPerSecondMax: scrubBytesPerSecondMax };
    this.#scrub = new Scrub(options, () => this.#scrubTargets());
  }

  get scrubStatus(): ScrubStatus {
    return { everyMs: this.#scrubEveryMs, ...this.#scrub.progress };
  }

  tick(nowMs: number): void {
    for (const { inspection } of this.#inspections.values()) {
      this.#perform(inspection.tick(nowMs));
    }
    this.#goOnScrubbing();
  }

  answered(partition: number, node: string, answer: CheckAnswer): void {
    const inspection = this.#inspections.get(partition)?.inspection;
    if (inspection !== undefined) this.#perform(inspection.answered(node, answer, this.#nowMs()));
  }

  lost(partition: number, node: string, why: string): void {
    const inspection = this.#inspections.get(partition)?.inspection;
    if (inspection !== undefined) this.#perform(inspection.lost(node, why, this.#nowMs()));
  }

  /** Ends what was asked about partitions that are led here no longer. */
  update(): void {
    const { state } = this.#host;
    for (const [id, { partition, inspection }] of this.#inspections) {
      if (state.leads(id) && state.partitions.get(id) === partition) continue;
      this.#inspections.delete(id);
      this.#perform(inspection.close('the primary has moved', this.#nowMs()));
    }
  }

  close(): void {
    this.#closed = true;
    for (const { inspection } of this.#inspections.values()) {
      this.#perform(inspection.close(theNodeStops, this.#nowMs()));
    }
  }

  /** Has every chunk in use of the partition compared by these followers, and adds to `report` what they say. Returns
   *  those who could not be asked to the end, and why. */
  async verify(
    partition: Partition,
    nodes: readonly string[],
    report: VerifyReport,
  ): Promise<ReadonlyMap<string, string>> {
    const asked = new Set(nodes);
    const lost = new Map<string, string>();
    const chunkCount = partition.chunksTouched();
    let next = 0;
    const walk = async (): Promise<void> => {
      while (next < chunkCount && asked.size > 0) {
        const chunk = next++;
        for (let owing = asked; owing.size > 0; ) {
          const result = await this.#inspect(partition, chunk, [...owing]);
          addResult(report, result, owing);
          for (const [node, why] of result.lost) {
            if (asked.delete(node)) lost.set(node, why);
          }
          owing = notAsked(result, asked);
        }
      }
    };
    await Promise.all(Array.from({ length: outstandingMarkersMax }, walk));
    return lost;
  }

  // ------------------------------------------------------------ scrub

  #scrubTargets(): ScrubTarget[] {
    const { state } = this.#host;
    const targets: ScrubTarget[] = [];
    for (const [id, partition] of state.partitions) {
      if (!state.leads(id) || state.views.get(id)?.followers.length === 0) continue;
      const waits = this.#host.inStep(id).length === 0;
      targets.push({ partition: id, chunkCount: partition.chunksTouched(), waits });
    }
    return targets.sort((a, b) => a.partition - b.partition);
  }

  #goOnScrubbing(): void {
    if (this.#scrubEveryMs === 0 || this.#closed) return;
    while (this.#scrubUnderWay < outstandingMarkersMax) {
      const mark = this.#scrub.step(this.#nowMs());
      if (mark === null) break;
      const partition = this.#host.state.partitions.get(mark.partition);
      if (partition !== undefined) void this.#scrubChunk(partition, mark.chunk);
    }
    this.#logRound();
  }

  async #scrubChunk(partition: Partition, chunk: number): Promise<void> {
    this.#scrubUnderWay++;
    const { equal, different } = await this.#inspect(
      partition,
      chunk,
      this.#host.inStep(partition.id),
    );
    this.#scrubUnderWay--;
    if (equal.length + different.length > 0) this.#host.state.counters.scrubChunks++;
    this.#goOnScrubbing();
  }

  #logRound(): void {
    const { rounds, chunksDone, lastRoundMs, lastRoundSkipped } = this.#scrub.progress;
    if (rounds === this.#scrubRounds) return;
    this.#scrubRounds = rounds;
    const { checksFailed, repairs, repairsRefused } = this.#host.state.counters;
    this.#host.state.identity.log({
      level: 'info',
      event: 'scrubFinished',
      chunks: chunksDone,
      chunksSkipped: lastRoundSkipped,
      ms: Math.round(lastRoundMs),
      differencesSoFar: checksFailed,
      repairsSoFar: repairs,
      repairsRefusedSoFar: repairsRefused,
    });
  }

  // ------------------------------------------------------------ one chunk

  /** A chunk that is under inspection already is not asked about twice. */
  #inspect(partition: Partition, chunk: number, nodes: readonly string[]): Promise<Inspected> {
    const { promise, resolve } = Promise.withResolvers<Inspected>();
    const key = `${partition.id}/${chunk}`;
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.set(key, [...waiting, resolve]);
    this.#perform(this.#inspectionOf(partition).inspect(chunk, nodes, this.#nowMs()));
    return promise;
  }

  #inspectionOf(partition: Partition): Inspection {
    const known = this.#inspections.get(partition.id);
    if (known?.partition === partition) return known.inspection;
    const inspection = new Inspection(partition);
    this.#inspections.set(partition.id, { partition, inspection });
    return inspection;
  }

  #perform(actions: readonly InspectionAction[]): void {
    for (const action of actions) {
      if (action.kind === 'wake') this.#host.wake();
      else if (action.kind === 'log') this.#host.state.identity.log(action.event);
      else this.#settle(action.result);
    }
  }

  #settle(result: Inspected): void {
    const { counters } = this.#host.state;
    counters.repairs += result.repaired.length;
    if (result.refused) counters.repairsRefused++;
    const key = `${result.partition}/${result.chunk}`;
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    for (const resolve of waiting) resolve(result);
  }

  #nowMs(): number {
    return this.#host.state.identity.nowMs();
  }
}

/** Those whom an inspection that was under way already had not asked. */
function notAsked({ equal, different }: Inspected, nodes: ReadonlySet<string>): Set<string> {
  const answered = new Set([...equal, ...different.map(({ node }) => node)]);
  return nodes.difference(answered);
}
