/** What the two sides of a hub share: who this node is, which partitions are here, what the map says of them.
 *
 *  Writer: the hub. Readers: `Leading` and `Following`, in the same thread. */
import type { Partition } from '@ingot/store';
import type { AckBoard } from './ack-board.ts';
import type { Certificates } from './certificates.ts';
import { createHubCounters, type HubCounters } from './counters.ts';
import type { ReplicationEvent } from './events.ts';
import { type LinkNetwork, type LinkSecurity, tcp } from './link.ts';
import { Pacer, type PacerOptions, unpaced } from './pacer.ts';
import { RedoBuffers } from './redo-buffers.ts';
import type { ResumptionPlace } from './resumption.ts';
import { RingReader } from './ring-reader.ts';
import { processTimers, type Timers } from './timers.ts';
import type { NodeAddress, PartitionView } from './view.ts';

export interface NodeIdentity {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly clusterId: string;
  readonly log: (event: ReplicationEvent) => void;
  readonly nowMs: () => number;
  /** Of its bulks; as fast as they go unless set. */
  readonly pacing?: PacerOptions;
  /** Where acknowledgements are told to other threads; nowhere unless given. */
  readonly board?: AckBoard;
  /** A clock that never goes back, the same in every thread that reads the board. */
  readonly monotonicMs?: () => number;
  /** Followers hear from their primaries this often at least. */
  readonly signOfLifeMs?: number;
  /** The cluster's secret; none unless given. */
  readonly secret?: Uint8Array | null;
  readonly otherSecret?: Uint8Array | null;
  /** For TLS between nodes; none unless given. */
  readonly certificates?: Certificates | null;
  /** Whether copies may be fed by followers, and feed others. True unless set. */
  readonly seeding?: boolean;
  /** A bulk of fewer chunks is not worth a way round. */
  readonly seedChunksMin?: number;
  /** Those of the process unless given. */
  readonly timers?: Timers;
  /** TCP unless given. */
  readonly network?: LinkNetwork;
}

/** One line for one host and reason in so long; so many of them at once, then silence. */
const quietMs = 10_000;
const saidMax = 256;

export class NodeState {
  /** Replaced when another life of the node begins. */
  identity: NodeIdentity;
  readonly security: LinkSecurity;
  readonly timers: Timers;
  readonly network: LinkNetwork;
  readonly partitions: Map<number, Partition> = new Map();
  readonly views: Map<number, PartitionView> = new Map();
  incarnations: Readonly<Record<string, number>> = {};
  addresses: Readonly<Record<string, NodeAddress>> = {};
  observers: readonly string[] = [];
  /** Per partition: nothing of this epoch, or of one before it, may change the copy any more. */
  readonly sealedThrough: Map<number, number> = new Map();
  readonly counters: HubCounters = createHubCounters();
  readonly #said = new Map<string, number>();
  readonly buffers: RedoBuffers = new RedoBuffers();

  readonly pacer: Pacer;
  readonly #resumptions = new WeakMap<Partition, ResumptionPlace>();
  readonly #rings = new WeakMap<Partition, RingReader>();

  /** Whether the primary of the partition itself brings the copy here up to date. Set by the hub. */
  followsPrimary: (partition: number) => boolean = () => false;

  /** Ends every connection on which a copy here is sent on, before it returns. Set by the hub. */
  dropSubscribers: (partition: number) => void = () => {};

  constructor(identity: NodeIdentity) {
    this.identity = identity;
    this.timers = identity.timers ?? processTimers;
    this.network = identity.network ?? tcp;
    this.pacer = identity.pacing === undefined ? unpaced() : new Pacer(identity.pacing);
    this.security = {
      nodeId: identity.nodeId,
      secret: identity.secret ?? null,
      otherSecret: identity.otherSecret ?? null,
      certificates: identity.certificates ?? null,
      refused: (reason) => this.counters.peersRefused[reason]++,
      refusedHandshake: (remote, { reason, text }) => {
        this.counters.peersRefused[reason]++;
        if (this.isNews(remote, text))
          identity.log({ level: 'warn', event: 'handshakeFailed', remote, reason: text });
      },
    };
  }

  /** The reader that all senders of a partition share. */
  ringOf(partition: Partition): RingReader {
    let ring = this.#rings.get(partition);
    if (ring === undefined) {
      ring = new RingReader(partition, this.buffers);
      this.#rings.set(partition, ring);
    }
    return ring;
  }

  /** Where a copy that is being made keeps what it has got. */
  resumptionOf(partition: Partition): ResumptionPlace {
    let place = this.#resumptions.get(partition);
    if (place === undefined) {
      place = { current: null };
      this.#resumptions.set(partition, place);
    }
    return place;
  }

  /** Whether this was not said of the peer's host in the last seconds: a peer that is refused comes
   *  again, once per partition. */
  isNews(remote: string, reason: string): boolean {
    const nowMs = this.identity.nowMs();
    for (const [old, untilMs] of this.#said) if (untilMs <= nowMs) this.#said.delete(old);
    const line = `${remote.slice(0, remote.lastIndexOf(':'))} ${reason}`;
    if (this.#said.has(line) || this.#said.size >= saidMax) return false;
    this.#said.set(line, nowMs + quietMs);
    return true;
  }

  /** Whether the map names this node primary of the partition. */
  leads(id: number): boolean {
    return this.views.get(id)?.primary === this.identity.nodeId;
  }
}
