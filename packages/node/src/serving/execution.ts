/** What a command is, and what it sees while it runs.
 *  Owner: the batch executor sets one reused Execution per worker before each `run`.
 *  What the executor has settled before `run` of a read or write: arity, that all keys are of
 *  `execution.partition`, that this node may answer for it, and (writes) role and seal. */

import { hashKey, type Partition } from '@ingot/store';
import type { WorkerCounters } from '../metrics/layout.ts';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { ClusterMap } from '../shared/map.ts';
import type { Settings } from '../shared/settings.ts';
import type { Making, ValueScan } from './value-scan.ts';
import type { Staging } from './large-work.ts';
import { ReplyValues } from './reply-values.ts';
import type { Allowance } from './allowance.ts';
import type { ClientAuth } from './client-auth.ts';
import type { LiveSettings } from './live-settings.ts';
import type { Session } from './session.ts';

/** read, write: on the keys named by `keys`, all in one partition.
 *  connection: about the session or the node; no keys.
 *  keyspace: over all partitions; `run` covers those led here, `combine` joins in the peers.
 *  transaction: MULTI EXEC DISCARD WATCH UNWATCH; rows only, the executor has their code. */
export type CommandKind = 'read' | 'write' | 'connection' | 'keyspace' | 'transaction';

/** How a multi-key call over several partitions is put together from its per-partition calls:
 *  gather: an array in key order (MGET); sum: integers added (DEL); ok: all must be OK (MSET). */
export type SplitRule = 'gather' | 'sum' | 'ok';

/** How the answers of all nodes to a keyspace command become one, on the client port:
 *  sum: integers added (DBSIZE); concat: arrays joined (KEYS); ok: all must be OK (FLUSHALL);
 *  any: one that is not nil, at random (RANDOMKEY); cursor: argument 1 is a SCAN cursor, the call
 *  goes to the node that leads its partition and to no other. */
export type CombineRule = 'sum' | 'concat' | 'ok' | 'any' | 'cursor';

/** Redis' key positions: argument indexes; `last` < 0 counts from the end; all 0 = no keys. */
export interface KeyPositions {
  readonly first: number;
  readonly last: number;
  readonly step: number;
}

export interface Command {
  /** Lower case. */
  readonly name: string;
  /** Redis' rule: the exact argument count with the name, or minus the least count. */
  readonly arity: number;
  readonly kind: CommandKind;
  readonly flags: readonly string[];
  readonly categories: readonly string[];
  readonly keys: KeyPositions;
  /** Argument that is a value, set whole: that of the first key; those of others follow by `keys.step`. */
  readonly value?: number;
  /** It changes a part of a value: which argument has the new bytes, and which the offset, 0 = the end. */
  readonly edits?: { readonly value: number; readonly offset: number };
  /** Its reply is the value of its key, and it does nothing else: a long one may be sent from where it lies. */
  readonly sends?: 'value';
  /** Takes more than a look at a few keys: worth a look at the clock. */
  readonly mayBeSlow?: boolean;
  readonly split?: SplitRule;
  /** May be several mutations: followers apply all of them or none. */
  readonly atomic?: boolean;
  readonly combine?: CombineRule;
  /** Of a command of two words: named `object|encoding`. */
  readonly subcommands?: readonly Command[];
  /** Writes exactly one reply (or calls `session.replyLater`). Must not throw.
   *  read: inside readBegin/readEnd, and run again from a rewound mark when torn: no side effects
   *  but `partition.mark`; one that looks for itself (`isWhole`) may say that it is `settled`.
   *  write: inside a passage of `execution.partition`.
   *  keyspace, connection: in neither; takes what gates it needs by itself. */
  run(execution: Execution, args: Args, out: ReplyWriter): void;
}

/** What a worker knows, shared by all its connections. */
export interface WorkerContext {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly workerIndex: number;
  readonly settings: Settings;
  readonly counters: WorkerCounters;
  readonly auth: ClientAuth;
  /** The newest cluster map; replaced as a whole. */
  readonly map: ClusterMap;
  /** Copies held by this node, by partition id; null where none. Role words say what they are. */
  readonly partitions: readonly (Partition | null)[];
  /** Sessions of this worker, by id. */
  readonly sessions: ReadonlyMap<number, Session>;
  /** Without one this node is cut off, and answers for nothing that it leads. */
  readonly hasLease: boolean;
  /** True when this node answers for the partition now: map, role word and epoch agree; or, where it takes snapshots, for
   *  reads of what it has. */
  leads(partitionId: number): boolean;
  /** Asks the main thread (e.g. 'clientList', 'info'); rejects when it cannot answer. */
  ask(what: string, asked?: unknown): Promise<unknown>;
  readonly live: LiveSettings;
  /** For large things that are on their way. */
  readonly allowance: Allowance;
  /** For how long something takes: nobody sets it. */
  monotonicMs(): number;
}

/** Bounds of SCAN's public cursor: partition * 2^32 + bucket, decimal; 0 starts and ends. */
export const CURSOR_PARTITION_FACTOR: number = 2 ** 32;

/** APPEND or SETRANGE: arguments by index; the offset is the store's APPEND for the end.
 *  Value GROW: zeros up to the offset, and then the command runs again. */
export interface EditRequest {
  readonly key: number;
  readonly value: number;
  readonly offset: number;
}

export const GROW = 0;

/** A value that a command made of others, too large for one passage: it is written into the store
 *  outside of any, and then the command runs again. `stamp` says what it was made of. */
export interface MadeValue {
  /** Argument that is its key. */
  readonly key: number;
  readonly value: Buffer | Making;
  readonly bytes: number;
  readonly stamp: string;
}

export class Execution {
  /** Of the key(s); meaningful for kinds read and write only. */
  partition!: Partition;
  session!: Session;
  readonly worker: WorkerContext;
  /** One clock read per batch. */
  nowMs = 0;
  /** Whether a lookup found a live key: the executor adds them up after the run (a torn read
   *  starts over, so commands count here and not in the shared counters). */
  hits = 0;
  misses = 0;
  /** Long values that the reply has. */
  readonly values: ReplyValues = new ReplyValues();
  /** SCAN only: true when cursors run over all partitions of the cluster (client port, or on
   *  behalf of one); false when only over those led here (cluster and follower port). */
  wholeCluster = false;

  /** Values that are in the store already and wait to be published; null: none. */
  staged: Staging | null = null;
  /** A write sets this where one passage is not enough: it was not done, and its reply does not count. */
  undone = false;
  /** Then, where a part of a value changes: how. */
  edit: EditRequest | null = null;
  /** Or: what is to become a value. */
  made: MadeValue | null = null;

  /** The command in hand may be done in slices, while others are served. */
  maySlice = false;
  /** A read asks for that: it has told nothing. */
  scan: ValueScan | null = null;

  /** A read has seen by itself that all it read belongs together: it is not run again. */
  settled = false;
  /** Of a read without the gate; -1 inside a passage. */
  private token = -1;

  private knownStart = -1;
  private knownHash = 0;

  constructor(worker: WorkerContext) {
    this.worker = worker;
  }

  /** Hash of argument `i` as a key. The first key's is known from the touching pass. */
  hash(args: Args, i: number): number {
    const start = args.start(i);
    if (start === this.knownStart) return this.knownHash;
    return hashKey(args.buf, start, args.bytes(i));
  }

  /** A read: whether all that was read since it began, or last looked again, belongs together. */
  isWhole(): boolean {
    return this.token === -1 || this.partition.readEnd(this.token);
  }

  /** A read that was torn begins again by itself: it must find its record anew. */
  lookAgain(): void {
    if (this.token !== -1) this.token = this.partition.readBegin();
  }

  /** The executor: whatever a command before could not do is not this one's. */
  forgetUndone(): void {
    this.undone = false;
    this.edit = null;
    this.made = null;
    this.scan = null;
  }

  /** The executor: a read begins. -1: inside a passage, or it has ended. */
  readWith(token: number): void {
    this.token = token;
    this.settled = false;
  }

  /** The executor: the key that starts at `start` of the receive buffer has this hash. */
  rememberHash(start: number, hash: number): void {
    this.knownStart = start;
    this.knownHash = hash;
  }

  /** The executor: the arguments that come now lie in another buffer. */
  forgetHash(): void {
    this.knownStart = -1;
  }
}
