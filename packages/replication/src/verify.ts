/** What `ingot verify` says of the copies of some partitions, put together from inspections of their chunks. */
import type { Inspected } from './inspection.ts';

export interface VerifyDifference {
  readonly partition: number;
  readonly chunk: number;
  readonly node: string;
  readonly seq: number;
  /** It was made equal, and found equal afterwards. */
  readonly repaired: boolean;
  /** Why it was not. */
  readonly why: string;
}

export interface VerifyReport {
  /** Comparisons made: chunks times followers. */
  chunksChecked: number;
  differences: VerifyDifference[];
  notChecked: { partition: number; node: string; why: string }[];
}

export function emptyReport(): VerifyReport {
  return { chunksChecked: 0, differences: [], notChecked: [] };
}

/** Adds what these followers said of one chunk. */
export function addResult(
  report: VerifyReport,
  { partition, chunk, equal, different, repaired, why }: Inspected,
  nodes: ReadonlySet<string>,
): void {
  report.chunksChecked += equal.filter((node) => nodes.has(node)).length;
  for (const { node, seq } of different) {
    if (!nodes.has(node)) continue;
    report.chunksChecked++;
    const isRepaired = repaired.includes(node);
    report.differences.push({
      partition,
      chunk,
      node,
      seq,
      repaired: isRepaired,
      why: isRepaired ? '' : why,
    });
  }
}
