/** What one node was told to be: flags, environment, file and defaults already settled and checked.
 *  Made once, by cli/resolve.ts; frozen afterwards and handed to every thread, so it stays a plain
 *  object that structured clone can copy. The options behind it are rows in cli/options.ts. */
import type { SyncRate } from '@ingot/replication';

import type { Credentials } from './credentials.ts';

export interface Ports {
  readonly client: number;
  readonly replication: number;
  readonly control: number;
  readonly http: number;
  readonly cluster: number;
  readonly follower: number;
}

/** The flag that sets each port: for sentences about them, and to start nodes with. */
export const PORT_FLAGS: Readonly<Record<keyof Ports, string>> = {
  client: '--port',
  replication: '--replication-port',
  control: '--control-port',
  http: '--http-port',
  cluster: '--cluster-port',
  follower: '--follower-port',
};

export type EvictionPolicy = 'sieve' | 'volatile-ttl' | 'noeviction';
/** What a reply waits for. local: the primary has it. isr: every copy in sync has it. log: it is on the primary's disk.
 *  By the index: AWAIT_ISR and AWAIT_LOG as bits. */
export const ACKS = ['local', 'isr', 'log', 'isr+log'] as const;
export type Acks = (typeof ACKS)[number];
export const AWAIT_ISR = 1;
export const AWAIT_LOG = 2;

/** What replies wait for, as bits. */
export function awaitsOf(acks: Acks): number {
  return ACKS.indexOf(acks);
}

/** What of a node's copies its next start finds. */
export const DURABILITIES = ['none', 'checkpoint', 'log'] as const;
export type Durability = (typeof DURABILITIES)[number];

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Bounds on what one client may make a node hold. */
export interface RespLimits {
  readonly maxBulkBytes: number;
  readonly maxArguments: number;
  readonly maxQueryBufferBytes: number;
  /** Of large commands that are still arriving and copies on their way out, per worker. */
  readonly maxTransitBytes: number;
  /** Over all workers. */
  readonly maxClients: number;
  /** What all of them may hold together, over all workers; 0: no such limit. */
  readonly maxClientsBytes: number;
  /** A client may take so long to say the password, where one is needed; 0: as long as it likes. */
  readonly authTimeoutMs: number;
  /** A client may be silent for so long; 0: as long as it likes. */
  readonly idleTimeoutMs: number;
  readonly output: OutputLimit;
}

/** Replies that a client has not read: it is ended once there are more than `hardBytes`, or more than `softBytes` for
 *  `softSeconds`. A limit of 0 is none. */
export interface OutputLimit {
  readonly hardBytes: number;
  readonly softBytes: number;
  readonly softSeconds: number;
}

export interface Settings {
  readonly id: string;
  /** The address that every listener binds. */
  readonly host: string;
  /** The address that others are told: in the cluster map and in CLUSTER replies. */
  readonly advertise: string;
  readonly ports: Ports;
  /** Absolute path. */
  readonly dataDir: string;
  /** Found a new cluster, where the data dir does not already belong to one. */
  readonly found: boolean;
  /** Control addresses (`host:port`) of nodes to join through; empty: none given. */
  readonly join: readonly string[];
  /** Hold no copies, only vote. */
  readonly witness: boolean;
  /** Hold no copies and lead nothing: take a snapshot of every partition every `snapshotEveryMs`. */
  readonly followOnly: boolean;
  readonly snapshotEveryMs: number;

  /** The eight below describe the cluster: they count when it is founded, and come from the map
   *  after. */
  readonly capacityBytes: number;
  readonly capacityMaxBytes: number;
  readonly partitions: number;
  readonly copies: number;
  /** null: derived from the capacity by the store. */
  readonly valueMaxBytes: number | null;
  readonly eviction: EvictionPolicy;
  readonly minIsr: number;
  readonly uncleanFailover: boolean;

  /** What this node proves itself with to other nodes. */
  readonly credentials: Credentials;

  /** Data worker threads. */
  readonly workers: number;
  /** When a reply to a write leaves, unless the connection asked for something else. */
  readonly acks: Acks;
  /** Commands on the client port wait so long for a new primary. */
  readonly failoverWaitMs: number;
  /** A follower that has heard nothing for so long answers no reads; 0: it goes on. */
  readonly staleMaxMs: number;
  /** A client may take so long to read a value that is sent from where it lies; 0: as long as it likes. */
  readonly pinMaxMs: number;
  /** A node that is gone for so long is taken out of the map; 0: never. */
  readonly forgetAfterMs: number;
  /** How fast syncs may go, all together. */
  readonly syncRate: SyncRate;
  /** Touch all image memory at start. */
  readonly prealloc: boolean;
  /** One round of the scrub takes so long; 0: there is none. */
  readonly scrubEveryMs: number;
  readonly durability: Durability;
  /** The redo log on disk grows to so much. */
  readonly logBytesMax: number;
  /** Copies are saved to the data dir so often; 0: never, nor read at the start. */
  readonly checkpointEveryMs: number;
  readonly checkpointBytesPerSecond: number;
  /** Bind an address that other machines reach, although there are no credentials. */
  readonly insecure: boolean;
  readonly logLevel: LogLevel;
  readonly limits: RespLimits;
  /** INGOT_TEST_DOOR=1: tests may damage a follower copy, and ask who took a write. Never set it
   *  elsewhere. */
  readonly testDoor: boolean;
}
