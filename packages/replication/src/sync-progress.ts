/** How far a sync is, for people: status, logs and metrics. */
import type { SyncKind, SyncReason } from './welcome.ts';

export interface SyncProgress {
  readonly kind: SyncKind;
  readonly reason: SyncReason;
  /** 0 at first; rises while the writers lap the bulk. */
  readonly pass: number;
  /** Of the pass at hand. */
  readonly chunksDone: number;
  /** Of the pass at hand; 0 while the sync waits for its turn. */
  readonly chunksTotal: number;
  /** Of chunks, over all passes. */
  readonly bytes: number;
  readonly startedMs: number;
}

/** A short name of each reason, for metric labels. */
export const SYNC_REASON_LABELS: Readonly<Record<SyncReason, string>> = {
  'the copy is current and the ring holds what follows': 'current',
  'the ring has moved past the copy': 'ring-passed',
  'the copy was interrupted in the middle of a bulk': 'interrupted',
  'the copy has changes of a lost primary': 'lost-primary',
  'the copy is empty': 'empty',
  'the histories share no epoch': 'no-shared-epoch',
  'the ring lapped the follower': 'lapped',
  'a CHECK found chunks that differ': 'check',
};

/** What each reason leads to. */
export const SYNC_KIND_OF_REASON: Readonly<Record<SyncReason, SyncKind>> = {
  'the copy is current and the ring holds what follows': 'stream',
  'the ring has moved past the copy': 'catch-up',
  'the copy was interrupted in the middle of a bulk': 'catch-up',
  'the copy has changes of a lost primary': 'rewind',
  'the copy is empty': 'full',
  'the histories share no epoch': 'full',
  'the ring lapped the follower': 'catch-up',
  'a CHECK found chunks that differ': 'catch-up',
};

export function bytesPerSecond(bytes: number, ms: number): number {
  return Math.round((bytes * 1_000) / Math.max(ms, 1));
}
