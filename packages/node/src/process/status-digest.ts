/** A short text that changes when the state of a copy or of a follower does: so that only what
 *  somebody acts on is told. Counters and seqs are left out: they move with every write and every
 *  keep-alive, and who wants them asks. */

import type { ReplicationStatus } from '../shared/messages.ts';

export function statusDigest({ partitions }: Pick<ReplicationStatus, 'partitions'>): string {
  return partitions
    .map(({ id, role, epoch, consistent, checked, followers }) => {
      const states = followers.map(
        ({ node, incarnation, state, leaving, stalled }) =>
          `${node}/${incarnation}:${state}${leaving ? '-' : ''}${stalled ? '!' : ''}`,
      );
      return `${id},${role},${epoch},${consistent},${checked},${states.join(',')}`;
    })
    .join(';');
}
