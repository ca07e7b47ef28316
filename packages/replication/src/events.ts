/** What replication tells the log. Flat rows, so that any logger takes them. */

export type ReplicationEventName =
  | 'syncStarted'
  | 'syncProgress'
  | 'syncFinished'
  | 'checkPassed'
  | 'checkFailed'
  | 'repaired'
  | 'repairRefused'
  | 'scrubFinished'
  | 'refused'
  | 'handshakeFailed'
  | 'connectionLost'
  | 'seedStarted'
  | 'seedEnded'
  | 'snapshotRound'
  | 'snapshotInterrupted';

export interface ReplicationEvent {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly event: ReplicationEventName;
  readonly [field: string]: string | number;
}
