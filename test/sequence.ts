/** Which test files begin first: those that take longest, so that none of them is left over when all others are done.
 *
 *  vitest would know from a former run, which a fresh clone has not seen, and takes a long file for one that takes long.
 *  The mutants compute all along, at the lowest priority: they fill what those beside them leave of the processor. */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Ends of paths; what is not named comes after them. */
const LONGEST: readonly string[] = [
  ...['mutants/mutants', 'chaos/cluster-chaos', 'e2e/warm-restart', 'e2e/by-hand', 'e2e/failover'],
  ...['security/secret', 'chaos/memory-flips', 'chaos/disconnects', 'chaos/stalls'],
  ...['chaos/crashes', 'fuzz/faults', 'e2e/adapters', 'e2e/bad-input', 'fuzz/live'],
  ...['sim/simulation', 'cluster/simulation', 'models/models', 'control/control-plane'],
  ...['src/repair', 'src/room', 'src/writer', 'threads/threads', 'src/long-histories'],
].map((name) => `/${name}.test.ts`);

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => groupOf(a) - groupOf(b) || rankOf(a) - rankOf(b));
  }
}

function groupOf({ project }: TestSpecification): number {
  return project.config.sequence.groupOrder;
}

function rankOf({ moduleId }: TestSpecification): number {
  const rank = LONGEST.findIndex((end) => moduleId.endsWith(end));
  return rank < 0 ? LONGEST.length : rank;
}
