/** A run from a seed, of a whole cluster or of a part of its control plane alone. */
import { InvariantError } from '@ingot/store';
import { type SimulationReport, SimulationFailed } from '../simulation.ts';
import { Broken } from '../trace.ts';
import { ClusterRun } from './cluster-run.ts';
import { LeaseRun } from './lease-run.ts';
import { LogRun } from './log-run.ts';
import { RegisterRun } from './register-run.ts';
import { SeedRun } from './seed-run.ts';
import { SnapshotRun } from './snapshot-run.ts';
import type { ClusterWorld } from './world.ts';

export const PARTS = ['all', 'register', 'leases', 'log', 'seeds', 'snapshots'] as const;
export type Part = (typeof PARTS)[number];

export interface ClusterSimulationOptions {
  readonly part: Part;
  readonly seed: number;
  readonly simulatedMs: number;
  /** 2 (and a witness), 3 or 5; null: drawn from the seed. */
  readonly nodes?: number | null;
  readonly print?: ((line: string) => void) | null;
}

interface Run {
  readonly world: Pick<ClusterWorld, 'trace' | 'elapsedMs'> & {
    readonly scheduler: Pick<ClusterWorld['scheduler'], 'eventCount'>;
  };
  run(simulatedMs: number): Promise<void>;
}

/** Rejects with SimulationFailed. */
export async function simulateCluster(
  options: ClusterSimulationOptions,
): Promise<SimulationReport> {
  const { seed, simulatedMs } = options;
  const run = runOf(options);
  const { world } = run;
  try {
    await run.run(simulatedMs);
  } catch (error) {
    throw new SimulationFailed(seed, brokenBy(error), world.trace.lastLines);
  }
  return {
    seed,
    simulatedMs: world.elapsedMs,
    hash: world.trace.hash,
    counts: world.trace.counts,
    events: world.scheduler.eventCount,
  };
}

function runOf({ part, seed, nodes = null, print = null }: ClusterSimulationOptions): Run {
  if (part === 'register') return new RegisterRun(seed, print);
  if (part === 'leases') return new LeaseRun(seed, print);
  if (part === 'log') return new LogRun(seed, print);
  if (part === 'seeds') return new SeedRun(seed, print);
  if (part === 'snapshots') return new SnapshotRun(seed, print);
  return new ClusterRun(seed, nodes ?? nodesOf(seed), print);
}

/** 2: and a witness. */
function nodesOf(seed: number): number {
  if (seed % 12 === 4 || seed % 12 === 11) return 2;
  return seed % 3 === 0 ? 5 : 3;
}

function brokenBy(error: unknown): Broken {
  if (error instanceof Broken) return error;
  if (error instanceof InvariantError) return new Broken('invariant', error.message);
  throw error;
}
