/** What failovers tell: log lines, and the figures that the metrics show. */
import type { Life, NodeId } from '../shared/map.ts';
import type { Succession } from './succession.ts';
import type { ControlLog } from './types.ts';

/** Milliseconds of each step of a failover. */
export interface FailoverTimes {
  /** From suspecting the life to knowing it fenced. */
  readonly fenceMs: number;
  readonly sealMs: number;
  /** Choosing, and the change of the map. */
  readonly writeMs: number;
  readonly totalMs: number;
}

export interface FailoverFigures {
  readonly failovers: number;
  /** Of all of them together, and of the last one. */
  readonly secondsTotal: number;
  readonly lastSeconds: number;
}

export class FailoverLog {
  readonly #log: ControlLog;
  #figures: FailoverFigures = { failovers: 0, secondsTotal: 0, lastSeconds: 0 };

  constructor(log: ControlLog) {
    this.#log = log;
  }

  figures(): FailoverFigures {
    return this.#figures;
  }

  suspected({ node, incarnation }: Life, silentMs: number): void {
    this.#log.warn(
      { event: 'node.suspected', peer: node, incarnation, silentMs: Math.round(silentMs) },
      `${node} has sent no heartbeat for a second`,
    );
  }

  fenced({ node, incarnation }: Life, fenceMs: number): void {
    this.#log.info(
      { event: 'node.fenced', peer: node, incarnation, fenceMs: Math.round(fenceMs) },
      `life ${incarnation} of ${node} is over for good`,
    );
  }

  notSealed(node: NodeId, error: Error): void {
    this.#log.warn(
      { event: 'copies.notSealed', peer: node, why: error.message },
      `${node} did not say how far its copies are: ${error.message}`,
    );
  }

  failed({ node }: Life, { message }: Error): void {
    this.#log.error(
      { event: 'failover.failed', peer: node, why: message },
      `what ${node} leads was not moved yet: ${message}`,
    );
  }

  notSettled({ message }: Error): void {
    this.#log.error({ event: 'failover.failed', why: message }, message);
  }

  ended(
    { node, incarnation }: Life,
    successions: ReadonlyMap<number, Succession>,
    times: FailoverTimes,
  ): void {
    const { failovers, secondsTotal } = this.#figures;
    const lastSeconds = times.totalMs / 1_000;
    this.#figures = {
      failovers: failovers + 1,
      secondsTotal: secondsTotal + lastSeconds,
      lastSeconds,
    };
    const [fenceMs, sealMs, writeMs] = [times.fenceMs, times.sealMs, times.writeMs].map(Math.round);
    const led = successions.size;
    this.#log.warn(
      { event: 'node.down', peer: node, incarnation, led, fenceMs, sealMs, writeMs },
      `${node} is down; what it led was moved in ${sealMs + writeMs} ms once it was fenced`,
    );
    this.settled(successions);
  }

  settled(successions: ReadonlyMap<number, Succession>): void {
    const lines = Map.groupBy(successions, ([, succession]) =>
      succession.kind === 'wait'
        ? `wait ${succession.why}`
        : `${succession.kind} ${succession.leader}`,
    );
    for (const line of lines.values()) {
      const partitions = line.map(([partition]) => partition);
      this.#settledAlike(line[0][1], partitions);
    }
  }

  #settledAlike(succession: Succession, partitions: number[]): void {
    const count = countOf(partitions);
    if (succession.kind === 'wait') {
      const { why } = succession;
      this.#log.warn({ event: 'partition.waits', partitions, why }, `${count}: ${why}`);
      return;
    }
    const { leader: peer } = succession;
    if (succession.kind === 'inSync') {
      this.#log.info({ event: 'primary.named', peer, partitions }, `${peer} leads ${count}`);
    } else if (succession.kind === 'lossy') {
      this.#log.error(
        { event: 'partition.lossy', peer, partitions },
        `${peer} leads ${count}, which it was not in sync with: writes may be missing`,
      );
    } else {
      this.#log.error(
        { event: 'partition.lost', peer, partitions },
        `${peer} starts ${count} again, empty: no copy was left`,
      );
    }
  }
}

export function countOf(partitions: readonly number[]): string {
  return partitions.length === 1 ? `partition ${partitions[0]}` : `${partitions.length} partitions`;
}
