/** A short text that changes when a copy or a follower does: so that only changes are told.
 *  Counters are left out: keep-alives move them all the time, and who scrapes them asks. */

import type { ReplicationStatus } from '../shared/messages.ts';

export function statusDigest({ partitions }: ReplicationStatus): string {
  return partitions
    .map(({ id, role, epoch, seq, consistent, checked, followers }) => {
      const at = followers.map(({ node, state, ackedSeq }) => `${node}:${state}:${ackedSeq}`);
      return `${id},${role},${epoch},${seq},${consistent},${checked},${at.join(',')}`;
    })
    .join(';');
}
