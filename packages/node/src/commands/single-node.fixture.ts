/** One node in one thread, for tests of commands: real partitions, arguments and replies, under the
 *  rules by which the executor runs each kind of command. Time stands still until a test moves
 *  it. */

import {
  attachPartition,
  createPartition,
  type EvictionPolicy,
  type Partition,
  partitionOfSlot,
  planGeometry,
  slotOfKey,
} from '@ingot/store';
import { COUNTER_NAMES, createCounters, WorkerCounters } from '../metrics/layout.ts';
import { Args } from '../resp/args.ts';
import { ReplyWriter } from '../resp/reply-writer.ts';
import { CommandLookup } from '../serving/command-lookup.ts';
import { Allowance } from '../serving/allowance.ts';
import { ClientAuth } from '../serving/client-auth.ts';
import { Execution, type WorkerContext } from '../serving/execution.ts';
import type { ListenerKind, ReplyMode, Session, WriteReply } from '../serving/session.ts';
import { NO_CREDENTIALS } from '../shared/credentials.ts';
import { firstPorts, plainEntry, plainMap, plainNode } from '../shared/map.fixture.ts';
import type { ClusterMap } from '../shared/map.ts';
import type { NodeStats } from '../shared/messages.ts';
import type { Settings } from '../shared/settings.ts';
import type { LiveParameters, SlowEntry } from '../shared/worker-questions.ts';
import { LiveSettings } from '../serving/live-settings.ts';
import { describeClient } from './client-lines.ts';
import { unknownCommand, wrongArity } from './errors.ts';
import { decodeReply, type Reply } from './reply.fixture.ts';
import { arityHolds } from './row.ts';
import { COMMANDS } from './table.ts';

const commandLookup = new CommandLookup(COMMANDS);

export const START_MS = 1_700_000_000_000;

export interface SingleNodeOptions {
  partitions?: number;
  capacityBytes?: number;
  eviction?: EvictionPolicy;
  listener?: ListenerKind;
  map?: ClusterMap;
  hasLease?: boolean;
  password?: string;
}

const SLOW_ENTRY: SlowEntry = {
  id: 5,
  unixSeconds: START_MS / 1000,
  microseconds: 12_345,
  words: ['keys', '*'],
  address: '127.0.0.1:50000',
  clientName: 'web',
};

class FakeSession implements Session {
  readonly id = 7;
  readonly address = '127.0.0.1:50000';
  readonly localAddress = '127.0.0.1:7401';
  readonly connectedAtMs: number = START_MS;
  lastActiveAtMs: number = START_MS;
  lastCommand = '';
  protocol: 2 | 3 = 2;
  name = '';
  libName = '';
  libVersion = '';
  acks: 'local' | 'isr' = 'local';
  readOnly = false;
  replyMode: ReplyMode = 0;
  noTouch = false;
  noEvict = false;
  readonly type = 'normal';
  readonly flags = 'N';
  readonly figures = {
    queryBytes: 0,
    queryRoomBytes: 0,
    queuedBytes: 0,
    repliesDue: 0,
    replyBytes: 0,
  };
  readonly heldBytes = 0;
  authenticated = true;
  asking = false;
  readonly queuedCount: number = -1;
  readonly watchedCount: number = 0;
  closing = false;
  late: Promise<WriteReply> | null = null;
  readonly listener: ListenerKind;

  constructor(listener: ListenerKind) {
    this.listener = listener;
  }

  reset(): void {
    this.name = '';
    this.protocol = 2;
  }

  closeAfterReplies(): void {
    this.closing = true;
  }

  replyLater(work: Promise<WriteReply>): void {
    this.late = work;
  }
}

export class SingleNode {
  readonly partitions: Partition[];
  readonly session: FakeSession;
  readonly execution: Execution;
  nowMs: number = START_MS;
  readonly live: LiveSettings = new LiveSettings();
  /** What was asked of all workers. */
  readonly asked: unknown[] = [];
  private readonly password: string | null;
  private readonly out = new ReplyWriter();

  constructor(options: SingleNodeOptions = {}) {
    const {
      partitions = 1,
      capacityBytes = partitions * 8 * 2 ** 20,
      eviction = 'sieve',
    } = options;
    const geometry = planGeometry({ partitions, capacityBytes, capacityMaxBytes: capacityBytes });
    this.partitions = Array.from({ length: partitions }, (_, id) => {
      const partition = attachPartition(createPartition(geometry, id, { eviction }));
      partition.promote(1, this.nowMs);
      return partition;
    });
    this.session = new FakeSession(options.listener ?? 'client');
    this.password = options.password ?? null;
    this.session.authenticated = this.password === null;
    this.execution = new Execution(
      this.workerContext(
        options.map ?? mapOfOne(partitions, capacityBytes, eviction),
        options.hasLease ?? true,
      ),
    );
    this.execution.session = this.session;
    this.execution.wholeCluster = this.session.listener === 'client';
  }

  /** Runs a command and decodes its reply. */
  ask(...parts: (string | Uint8Array)[]): Reply {
    return decodeReply(this.askRaw(...parts));
  }

  /** Runs a command that is answered late. */
  async askLate(...parts: (string | Uint8Array)[]): Promise<Reply> {
    this.askRaw(...parts);
    const write = await this.session.late;
    this.session.late = null;
    write?.(this.out);
    return decodeReply(this.out.take());
  }

  /** Runs a command; its reply as bytes. */
  askRaw(...parts: (string | Uint8Array)[]): Buffer {
    this.out.protocol = this.session.protocol;
    this.run(Args.of(...parts));
    return this.out.take();
  }

  private run(args: Args): void {
    const { out, execution } = this;
    const index = commandLookup.find(args.buf, args.start(0), args.bytes(0));
    const row = commandLookup.commands[commandLookup.settle(index, args)];
    if (row === undefined) return out.error(unknownCommand(args));
    if (!arityHolds(row, args.count)) return out.error(wrongArity(row.name));
    execution.nowMs = this.nowMs;
    execution.forgetHash();
    const { first } = row.keys;
    if (first > 0) {
      const slot = slotOfKey(args.buf, args.start(first), args.bytes(first));
      execution.partition = this.partitions[partitionOfSlot(slot, this.partitions.length)];
    }
    const { partition } = execution;
    if (row.kind === 'read') {
      partition.readStable(() => row.run(execution, args, out));
    } else if (row.kind === 'write') {
      partition.enter();
      row.run(execution, args, out);
      partition.leave();
    } else {
      row.run(execution, args, out);
    }
  }

  private workerContext(map: ClusterMap, hasLease: boolean): WorkerContext {
    const { partitions, session } = this;
    const answers: Record<string, (asked: unknown) => unknown> = {
      clientList: () => [[describeClient(session, this.nowMs)]],
      clientFigures: () => [{ errors: { ERR: 2 }, blocked: 1 }],
      resetFigures: () => [null],
      resetStats: () => null,
      setLive: (asked) => [this.live.set(asked as Partial<LiveParameters>)],
      killClients: (asked) => [this.asked.push(asked)],
      pauseClients: (asked) => [this.asked.push(asked)],
      slowLog: () => [[SLOW_ENTRY]],
      latencySamples: () => [[{ event: 'command', unixSeconds: START_MS / 1000, ms: 7 }]],
      nodeStats: () => nodeStats(partitions),
    };
    return {
      nodeId: 'n1',
      auth: new ClientAuth({ ...NO_CREDENTIALS, password: this.password }),
      incarnation: 1,
      workerIndex: 0,
      settings: settings(),
      counters: new WorkerCounters(createCounters()),
      map,
      partitions,
      sessions: new Map([[session.id, session]]),
      hasLease,
      leads: (id) => map.placement[id]?.primary === 'n1',
      live: this.live,
      allowance: new Allowance(2 ** 28),
      monotonicMs: () => this.nowMs,
      ask: async (what, asked) => answers[what](asked),
    };
  }
}

export function mapOfOne(
  partitions: number,
  capacityBytes: number,
  eviction: EvictionPolicy,
): ClusterMap {
  return plainMap({
    copies: 1,
    capacityBytes,
    capacityMaxBytes: capacityBytes,
    eviction,
    nodes: [plainNode('n1')],
    placement: Array.from({ length: partitions }, () => plainEntry('n1')),
  });
}

function settings(): Settings {
  return {
    host: '127.0.0.1',
    advertise: '127.0.0.1',
    ports: firstPorts,
    dataDir: '/tmp/n1',
    workers: 1,
    credentials: NO_CREDENTIALS,
    limits: {
      maxBulkBytes: 2 ** 29,
      maxArguments: 2 ** 20,
      maxQueryBufferBytes: 2 ** 30,
      maxTransitBytes: 2 ** 28,
      maxClients: 10_000,
      authTimeoutMs: 0,
      idleTimeoutMs: 0,
      output: { hardBytes: 0, softBytes: 0, softSeconds: 0 },
    },
  } as Settings;
}

function nodeStats(partitions: readonly Partition[]): NodeStats {
  return {
    startedAtMs: START_MS - 5_000,
    dataWorkers: 1,
    commands: 3,
    commandsPerSecond: 7,
    calls: [{ name: 'get', calls: 4, errors: 1, seconds: 0.00001, buckets: [1, 2, 1] }],
    counters: Object.fromEntries(COUNTER_NAMES.map((name) => [name, 1])),
    replication: {
      partitions: partitions.map(({ id }) => ({
        id,
        role: 1,
        epoch: 1,
        seq: 5,
        consistent: true,
        checked: true,
        followers: [
          { node: 'n2', state: 'streaming', ackedSeq: 4, lagSeq: 1, lagSeconds: 0.1, sync: null },
        ],
      })),
      counters: { fullSyncs: 2, partialSyncs: 1 },
    },
  } as unknown as NodeStats;
}
