/** A short text that changes when a replication status does: so that only changes are told. */

import type { ReplicationStatus } from '../shared/messages.ts';

export function statusDigest({ partitions, counters }: ReplicationStatus): string {
  const copies = partitions.map(({ id, role, epoch, seq, consistent, checked, followers }) => {
    const at = followers.map(({ node, state, ackedSeq }) => `${node}:${state}:${ackedSeq}`);
    return `${id},${role},${epoch},${seq},${consistent},${checked},${at.join(',')}`;
  });
  return `${copies.join(';')}|${Object.values(counters).join(',')}`;
}
