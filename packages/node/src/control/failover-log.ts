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

/** How the end of a life shows: it falls silent, or the node is started again. */
export const FAILOVER_CAUSES = ['silent', 'restarted'] as const;
export type FailoverCause = (typeof FAILOVER_CAUSES)[number];

/** A life that stops as it was told to has handed over before: that is no failover. */
export type EndOfLife = FailoverCause | 'stopped';

export const FAILOVER_BOUNDS_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 1.25, 1.5, 2, 3, 5, 10] as const;

/** A histogram of the seconds that failovers took. */
export interface FailoverSeconds {
  /** Per bucket, not cumulative; the last one counts what is above every bound. */
  readonly buckets: readonly number[];
  readonly sum: number;
}

export type FailoverFigures = Readonly<Record<FailoverCause, FailoverSeconds>>;

const noSeconds: FailoverSeconds = {
  buckets: [...FAILOVER_BOUNDS_SECONDS, Number.POSITIVE_INFINITY].map(() => 0),
  sum: 0,
};

export const NO_FAILOVERS: FailoverFigures = { silent: noSeconds, restarted: noSeconds };

/** No node's name. */
const SETTLING = '';

export class FailoverLog {
  readonly #log: ControlLog;
  #figures = NO_FAILOVERS;
  /** By what could not be done, and is tried again several times a second: why. */
  readonly #troubles = new Map<string, string>();

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

  sealed(node: NodeId): void {
    this.#troubles.delete(node);
  }

  notSealed(node: NodeId, { message }: Error): void {
    if (!this.#isNews(node, message)) return;
    this.#log.warn(
      { event: 'copies.notSealed', peer: node, why: message },
      `${node} did not say how far its copies are: ${message}`,
    );
  }

  failed({ node }: Life, { message }: Error): void {
    this.#log.error(
      { event: 'failover.failed', peer: node, why: message },
      `what ${node} leads was not moved yet: ${message}`,
    );
  }

  /** Partitions without a primary could be looked after. */
  couldSettle(): void {
    this.#troubles.delete(SETTLING);
  }

  notSettled({ message }: Error): void {
    if (!this.#isNews(SETTLING, message)) return;
    this.#log.error({ event: 'failover.failed', why: message }, message);
  }

  #isNews(about: string, why: string): boolean {
    if (this.#troubles.get(about) === why) return false;
    this.#troubles.set(about, why);
    return true;
  }

  ended(
    { node, incarnation }: Life,
    cause: EndOfLife,
    successions: ReadonlyMap<number, Succession>,
    times: FailoverTimes,
  ): void {
    if (cause === 'stopped') {
      const text = `${node} has stopped, as it was told to`;
      this.#log.info({ event: 'peer.stopped', peer: node, incarnation }, text);
      return;
    }
    const seconds = withOne(this.#figures[cause], times.totalMs / 1_000);
    this.#figures = { ...this.#figures, [cause]: seconds };
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

function withOne({ buckets, sum }: FailoverSeconds, seconds: number): FailoverSeconds {
  const found = FAILOVER_BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
  const index = found < 0 ? FAILOVER_BOUNDS_SECONDS.length : found;
  return { buckets: buckets.with(index, buckets[index] + 1), sum: sum + seconds };
}

export function countOf(partitions: readonly number[]): string {
  return partitions.length === 1 ? `partition ${partitions[0]}` : `${partitions.length} partitions`;
}
