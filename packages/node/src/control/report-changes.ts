/** What is new in a node's report of its copies: for who sends it, and for who plans by it. Pure. */
import type { NodeReport, PartitionReport } from './types.ts';

/** Whether two reports of one life differ in nothing but seqs. */
export function saysTheSame(a: NodeReport, b: NodeReport): boolean {
  if (a.mapVersion !== b.mapVersion || a.partitions.length !== b.partitions.length) return false;
  if (a.partitions === b.partitions) return true;
  return a.partitions.every((copy, i) => isInTheSameState(copy, b.partitions[i]));
}

/** Seqs of copies that are otherwise the same. */
export function haveMoved(a: readonly PartitionReport[], b: readonly PartitionReport[]): boolean {
  return a !== b && a.some(({ seq }, i) => seq !== b[i]?.seq);
}

export function isInTheSameState(a: PartitionReport, b: PartitionReport): boolean {
  if (a.id !== b.id || a.role !== b.role || a.epoch !== b.epoch) return false;
  if (a.consistent !== b.consistent || a.checked !== b.checked) return false;
  if (a.followers.length !== b.followers.length) return false;
  return a.followers.every(({ node, state }, i) => {
    const other = b.followers[i];
    return node === other.node && state === other.state;
  });
}
