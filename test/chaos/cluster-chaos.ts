/** A cluster of real processes, ills that befall it, clients that go on all the while, and judges at the end.
 *
 *  The seed decides the ills and what clients ask; when which of it happens the machine decides. At the end all is
 *  healed, every copy must be equal, and: no partition had two writers in one epoch, the history of every key of
 *  acks=isr is a register's, and each kind of ill has occurred. What acks=local has lost is counted. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../../packages/replication/src/random.fixture.ts';
import { numbers } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import { ingotVerify } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { RespConnection } from '../support/resp-connection.ts';
import { Ailing } from './ailing.ts';
import {
  BareClient,
  type Client,
  type ClientPlan,
  ISR_KEYS,
  isrKey,
  LibraryClient,
} from './clients.ts';
import { ILL_KINDS, type IllKind, Ills } from './ills.ts';
import { staysAsItIs } from './busy.ts';
import { advertised, Network } from './network.ts';
import { RunRecord } from './record.ts';
import { splitOf, verdictOn } from './verdict.ts';

export interface ChaosPlan {
  readonly nodes: number;
  readonly minutes: number;
  readonly seed: number;
  /** Before the ills: so long every core has an endless loop to run, and nobody may be taken for dead. */
  readonly busySeconds: number;
  readonly print: (line: string) => void;
}

export interface ChaosReport {
  readonly ills: Readonly<Record<IllKind, number>>;
  readonly operations: number;
  readonly writesDone: number;
  readonly writesRefused: number;
  readonly writesUnknown: number;
  /** Pairs of a partition and an epoch in which writes were accepted, and those with two writers. */
  readonly epochs: number;
  readonly epochsSplit: number;
  /** Keys of acks=isr whose history is none of a register. */
  readonly keysBroken: number;
  readonly localWritesLost: number;
  readonly localLossLongestMs: number;
  readonly chunksChecked: number;
  readonly secondsToHeal: number;
}

const PARTITIONS = 16;
const COPIES = 3;
const BARE_ISR = 4;
const BARE_LOCAL = 2;
const HEALED_WITHIN_MS = 120_000;

export async function runChaos(plan: ChaosPlan): Promise<ChaosReport> {
  const cluster = await LocalCluster.plan({
    nodes: plan.nodes,
    ...{ capacity: '128mb', partitions: PARTITIONS, copies: COPIES },
    foundArgs: ['--capacity-max', '128mb', '--value-max', '1mb', '--min-isr', '2'],
    args: ['--acks', 'isr', '--log-level', 'debug'],
    argsOf: (i) => ['--advertise', advertised(i)],
    env: { INGOT_TEST_DOOR: '1' },
  });
  const network = await Network.around(cluster.nodes);
  const chaos = new ClusterChaos(cluster, network, plan);
  try {
    return await chaos.run();
  } catch (error) {
    throw new Error(`${String(error)}\n${chaos.account()}`, { cause: error });
  } finally {
    await chaos.stop();
    network.close();
  }
}

class ClusterChaos {
  readonly #cluster: LocalCluster;
  readonly #plan: ChaosPlan;
  readonly #record = new RunRecord();
  readonly #ailing: Ailing;
  #clients: Client[] = [];
  #chunksChecked = 0;
  #secondsToHeal = 0;

  constructor(cluster: LocalCluster, network: Network, plan: ChaosPlan) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#ailing = new Ailing(cluster, network, () => this.#record.nowMs());
  }

  async run(): Promise<ChaosReport> {
    for (const node of this.#cluster.nodes) {
      node.launch();
      await node.answers('/healthz');
    }
    await this.#cluster.settled();
    this.#clients = this.#startClients();
    await staysAsItIs(this.#cluster, this.#plan.busySeconds);
    this.#plan.print(`busy for ${this.#plan.busySeconds} s: nobody was taken for dead`);
    await this.#befall();
    await this.#healed();
    return this.#judged();
  }

  /** Whatever is under way. */
  async stop(): Promise<void> {
    this.#ailing.release();
    await Promise.all(this.#clients.map((client) => client.stop()));
    await this.#cluster.stop();
  }

  /** What was done, and where the logs are: for whoever looks into a failure. */
  account(): string {
    const folder = mkdtempSync(join(tmpdir(), `ingot-chaos-${this.#plan.seed}-`));
    for (const node of this.#cluster.nodes) {
      writeFileSync(join(folder, `${node.id}.log`), node.everything.join('\n'));
    }
    writeFileSync(join(folder, 'history.json'), JSON.stringify(this.#record.history));
    return [...this.#ailing.told, `logs and history: ${folder}`].join('\n');
  }

  #startClients(): Client[] {
    const random = new Random(this.#plan.seed ^ 0x5bd1e995);
    const ports = this.#cluster.nodes.map((node) => node.ports.client);
    const planOf = (name: string): ClientPlan => ({
      ...{ name, record: this.#record, random: new Random(random.below(2 ** 31)) },
    });
    const seeds = this.#cluster.nodes.map(({ ports: { cluster } }, index) => ({
      ...{ host: advertised(index + 1), port: cluster },
    }));
    return [
      ...numbers(BARE_ISR).map((i) => new BareClient(planOf(`bare${i}`), ports, 'isr')),
      ...numbers(BARE_LOCAL).map((i) => new BareClient(planOf(`own${i}`), ports, 'local')),
      LibraryClient.plain(planOf('plain'), ports[0]),
      LibraryClient.cluster(planOf('cluster'), seeds),
    ];
  }

  async #befall(): Promise<void> {
    const { minutes, nodes, seed, print } = this.#plan;
    const ills = new Ills(new Random(seed), nodes);
    const endMs = this.#record.nowMs() + minutes * 60_000;
    // Each kind once, however long that takes on this machine.
    for (let i = 0; i < ILL_KINDS.length || this.#record.nowMs() < endMs; i++) {
      const ill = ills.next();
      await this.#ailing.begin(ill);
      print(this.#ailing.told.at(-1) ?? '');
      this.#noSplitYet();
      await delay(ill.thenMs);
    }
    await this.#ailing.over();
  }

  #noSplitYet(): void {
    const split = splitOf(this.#record);
    if (split !== null) throw new Error(split);
  }

  /** All nodes, all copies, in step and equal. */
  async #healed(): Promise<void> {
    const fromMs = this.#record.nowMs();
    await eventually('the cluster heals', () => this.#cluster.settled(), {
      withinMs: HEALED_WITHIN_MS,
    });
    this.#secondsToHeal = (this.#record.nowMs() - fromMs) / 1_000;
    await Promise.all(this.#clients.map((client) => client.stop()));
    await this.#readAll();
    await this.#cluster.replicated();
    const { exitCode, report } = await ingotVerify(this.#cluster.node(1).ports.control);
    if (exitCode !== 0) throw new Error(`the copies differ: ${JSON.stringify(report)}`);
    this.#chunksChecked = report.chunksChecked;
  }

  /** Every key that may have been written, once more, through every node. */
  async #readAll(): Promise<void> {
    for (const { ports } of this.#cluster.nodes) {
      for (const i of numbers(ISR_KEYS)) {
        const key = isrKey(i);
        const start = this.#record.nowMs();
        const value = await readOnce(ports.client, key);
        this.#record.history.push({ kind: 'read', key, value, start, end: this.#record.nowMs() });
      }
    }
  }

  #judged(): ChaosReport {
    const { kindsLeft, done } = this.#ailing;
    const verdict = verdictOn(this.#record, kindsLeft);
    if (verdict !== null) throw new Error(verdict);
    const { history, writers, loss, counts } = this.#record;
    return {
      ills: done,
      operations: history.length,
      ...{ writesDone: counts.done, writesRefused: counts.refused, writesUnknown: counts.unknown },
      ...{ epochs: writers.epochs, epochsSplit: 0, keysBroken: 0 },
      localWritesLost: loss.writes,
      localLossLongestMs: Math.round(loss.longestMs),
      chunksChecked: this.#chunksChecked,
      secondsToHeal: Math.round(this.#secondsToHeal),
    };
  }
}

async function readOnce(port: number, key: string): Promise<string | null> {
  const connection = await RespConnection.open(port);
  try {
    await connection.ask(`GET ${key}\r\n`, '\r\n');
    const [head, value] = connection.received.split('\r\n');
    if (head.startsWith('-')) throw new Error(`GET ${key}: ${head}`);
    return head === '$-1' ? null : value;
  } finally {
    connection.destroy();
  }
}
