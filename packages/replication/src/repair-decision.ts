/** Whether the primary may overwrite a chunk of a follower that differs from its own. Pure.
 *
 *  A checksum says that two copies differ, not which of them is right: memory of a primary fails as often as memory of
 *  a follower. So the primary is believed only where somebody supports it: a third copy that is equal to it, or the
 *  structure of its own chunk. Two followers that agree with each other against it are no accident of memory. */

export interface RepairCase {
  /** Followers whose copy of the chunk equals the primary's. */
  readonly equal: number;
  /** Checksums of the copies that differ. */
  readonly different: readonly number[];
  /** The rule that the primary's own chunk breaks, or null. Asked only where no third copy decides. */
  readonly brokenRule: () => string | null;
}

export type RepairDecision =
  | { readonly repair: true; readonly because: 'a third copy' | 'its structure' }
  | { readonly repair: false; readonly why: string };

export function decideRepair({ equal, different, brokenRule }: RepairCase): RepairDecision {
  const agreeing = largestGroup(different);
  if (agreeing >= 2) {
    return {
      repair: false,
      why: `${agreeing} followers agree with each other against the primary`,
    };
  }
  if (equal > 0) return { repair: true, because: 'a third copy' };
  const broken = brokenRule();
  if (broken === null) return { repair: true, because: 'its structure' };
  return { repair: false, why: `the primary's own chunk is broken: ${broken}` };
}

function largestGroup(sums: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const sum of sums) counts.set(sum, (counts.get(sum) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}
