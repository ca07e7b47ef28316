/** What goes into a sender and what comes out: the whole contract between the machine and the hub. */
import type { Partition } from '@ingot/store';
import type { CheckAnswer } from './checks.ts';
import type { ReplicationEvent } from './events.ts';
import type { FrameHeader } from './frame.ts';
import type { Hello } from './hello.ts';
import type { Pacer } from './pacer.ts';
import type { RingReader } from './ring-reader.ts';
import type { SyncReason } from './welcome.ts';

export type SenderEvent =
  /** There may be something to do. */
  | { readonly kind: 'continue' }
  /** The kernel has accepted all that was handed over. */
  | { readonly kind: 'written' }
  /** The node lets this sender run its bulk. */
  | { readonly kind: 'bulkGranted' }
  /** Another follower feeds this copy: instead of a bulk that has not begun. */
  | { readonly kind: 'seedAt'; readonly node: string }
  /** Nothing was sent for a while. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'frame'; readonly header: FrameHeader; readonly payload: Buffer };

export type SenderAction =
  /** Sends of one step go out as one write, and are reported `written` once. CHUNK payloads are views of the live
   *  image: they must be read by the kernel itself. */
  | { readonly kind: 'send'; readonly header: FrameHeader; readonly payload: Buffer }
  | { readonly kind: 'again' }
  /** The bulk waits for its share of the node's rate: step again within a millisecond or so. */
  | { readonly kind: 'paced' }
  /** `chunks` as far as is known before its first look at the stamps that counts. */
  | { readonly kind: 'awaitBulk'; readonly chunks: number }
  /** SEED has gone out: the connection has served. */
  | { readonly kind: 'sentAway' }
  | { readonly kind: 'bulkEnded' }
  /** The follower holds a consistent copy up to `seq`. */
  | { readonly kind: 'acknowledged'; readonly seq: number }
  | { readonly kind: 'answered'; readonly answer: CheckAnswer }
  /** A chunk that differed is equal again; or it stays as it is, because nothing supports the primary's. */
  | { readonly kind: 'repaired' }
  | { readonly kind: 'repairRefused' }
  /** The follower is in step: by a bulk that it made consistent, or because the ring had all it missed. */
  | { readonly kind: 'synced'; readonly reason: SyncReason }
  | { readonly kind: 'log'; readonly event: ReplicationEvent }
  /** Terminal: the connection must end. */
  | { readonly kind: 'drop'; readonly reason: string };

export type FollowerState = 'connecting' | 'bulk' | 'catchup' | 'checking' | 'streaming';

export interface SenderOptions {
  readonly partition: Partition;
  readonly epoch: number;
  /** The partition is itself a follower of this epoch: it sends on what it has, while it is consistent. */
  readonly relay?: boolean;
  /** Of the primary. */
  readonly nodeId: string;
  readonly incarnation: number;
  /** Of the follower. */
  readonly hello: Hello;
  /** Of the partition: shared by its senders. */
  readonly ring: RingReader;
  /** Of the node: shared by all its bulks. None: as fast as it goes. */
  readonly pacer?: Pacer;
  /** Whether bulks of this node run or wait: CHECK passes give way to them. Never, unless set. */
  readonly bulksPending?: () => boolean;
}
