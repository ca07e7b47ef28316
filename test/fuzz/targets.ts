/** What is fuzzed: a cluster of three nodes and a node with a password, real processes with several workers each, and what
 *  must be true of them at any time. */
import type { Buffer } from 'node:buffer';
import { Conversation } from '../differential/conversation.ts';
import { eventually } from '../support/eventually.ts';
import { ingotVerify } from '../support/ingot.ts';
import { LocalCluster, type LogLine, type TestNode } from '../support/local-cluster.ts';
import { residentBytes } from '../support/memory.ts';
import { Witness } from './witness.ts';

export const PASSWORD = 'a password of the fuzz';
export const CAPACITY_BYTES: number = 64 * 2 ** 20;
export const PARTITIONS = 8;
const WORKERS = ['--workers', '2'];
/** Over what a process has after the first round. */
const GROWTH_BYTES_MAX = 256 * 2 ** 20;
/** pino's level of an error. */
const ERROR_LEVEL = 50;
/** Which a machine that is busy with other things may be the reason of. */
const WEATHER = new Set(['map.notWritten']);
const CLEAN_EXIT = 0;

/** A port for clients, and how it answers. */
export interface Door {
  readonly name: string;
  readonly port: number;
  readonly node: TestNode;
  readonly unknown: boolean;
}

export class Targets {
  readonly doors: readonly Door[];
  /** Where nodes, operators and Prometheus connect. */
  readonly innerDoors: readonly Door[];
  readonly nodes: readonly TestNode[];
  readonly #clusters: readonly LocalCluster[];
  readonly #witnesses: Witness[] = [];
  /** By pid. */
  readonly #memory = new Map<number, number>();

  private constructor(three: LocalCluster, locked: LocalCluster) {
    this.#clusters = [three, locked];
    this.nodes = [...three.nodes, ...locked.nodes];
    const at = (name: string, node: TestNode, kind: keyof TestNode['ports']): Door => ({
      ...{ name, node, port: node.ports[kind], unknown: node === locked.node(1) },
    });
    this.doors = [
      at('n1, any key', three.node(1), 'client'),
      at('n2, any key', three.node(2), 'client'),
      at('n2, cluster', three.node(2), 'cluster'),
      at('n3, follower', three.node(3), 'follower'),
      at('n1, password', locked.node(1), 'client'),
    ];
    this.innerDoors = ([1, 2] as const).flatMap((i) =>
      (['replication', 'control', 'http'] as const).map((kind) =>
        at(`n${i}, ${kind}`, three.node(i), kind),
      ),
    );
  }

  static async start(): Promise<Targets> {
    const shape = { capacity: `${CAPACITY_BYTES}`, partitions: PARTITIONS };
    const [three, locked] = await Promise.all([
      LocalCluster.start({ ...shape, nodes: 3, copies: 2, args: WORKERS }),
      LocalCluster.start({
        ...{ ...shape, nodes: 1, copies: 1, args: WORKERS },
        env: { INGOT_PASSWORD: PASSWORD },
      }),
    ]);
    const targets = new Targets(three, locked);
    await targets.#callWitnesses();
    return targets;
  }

  async #callWitnesses(): Promise<void> {
    // Those that are answered whatever key they ask for.
    const served = this.doors.filter(({ port, node }) => port === node.ports.client);
    for (const { name, port, unknown } of served) {
      this.#witnesses.push(await Witness.open(name, port, unknown ? PASSWORD : undefined));
    }
  }

  /** Resolves when something is wrong: a witness complains, or a process has ended. */
  get wrong(): Promise<string> {
    const complaints = this.#witnesses.map(async ({ complaint }) => {
      const text = await complaint;
      return text ?? new Promise<never>(() => {});
    });
    return Promise.race([...complaints, this.ended]);
  }

  /** Resolves when a process has ended, with how it did. */
  get ended(): Promise<string> {
    const ends = this.nodes.map(async (node) => {
      const end = await node.process.ended;
      const last = node.process.output.split('\n').slice(-15).join('\n');
      return `the process of ${node.id} ended: ${JSON.stringify(end)}\n${last}`;
    });
    return Promise.race(ends);
  }

  get rounds(): number {
    return this.#witnesses.reduce((sum, { rounds }) => sum + rounds, 0);
  }

  /** While nobody but the witnesses is connected: what is not as it must be, or null. */
  async check(): Promise<string | null> {
    for (const node of this.nodes) {
      const isError = ({ level, event }: LogLine): boolean =>
        level >= ERROR_LEVEL && !WEATHER.has(event);
      const error = node.log.find(isError);
      if (error !== undefined) return `${node.id} logs an error: ${JSON.stringify(error)}`;
      const left = await this.#clientsLeft(node);
      if (left !== null) return left;
      const bytes = residentBytes(node.pid);
      const before = this.#memory.get(node.pid) ?? bytes;
      this.#memory.set(node.pid, before);
      if (bytes > before + GROWTH_BYTES_MAX) {
        return `${node.id} has ${bytes >> 20} MiB, after ${before >> 20} in the beginning`;
      }
    }
    return null;
  }

  /** Connections of clients that have gone are gone. */
  async #clientsLeft(node: TestNode): Promise<string | null> {
    const conversation = await Conversation.open(node.ports.client);
    const isLocked = this.doors.some((door) => door.node === node && door.unknown);
    const own = this.doors.filter((door) => door.node === node && door.port === node.ports.client);
    try {
      if (isLocked) await conversation.ask([['AUTH', PASSWORD]]);
      let list = '';
      await eventually('only witnesses are left', async () => {
        const [reply]: Buffer[] = await conversation.ask([['CLIENT', 'LIST', 'TYPE', 'normal']]);
        list = reply.toString('latin1');
        // The one that asks, and a witness for each door.
        return list.split('\n').filter((line) => line.startsWith('id=')).length <= own.length + 1;
      }).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${list}`, { cause: error });
      });
      return null;
    } catch (error) {
      return `${node.id}: ${String(error)}`;
    } finally {
      conversation.close();
    }
  }

  /** Stops the witnesses, compares all copies, and ends the processes. */
  async end(): Promise<string | null> {
    const complaints = await Promise.all(this.#witnesses.map((witness) => witness.stop()));
    const complaint = complaints.find((text) => text !== null);
    if (complaint !== undefined) return complaint;
    await this.#clusters[0].replicated();
    for (const cluster of this.#clusters) {
      const { exitCode, report } = await ingotVerify(cluster.node(1).ports.control);
      const isClean = exitCode === CLEAN_EXIT && report.differences.length === 0;
      if (!isClean) return `ingot verify says ${JSON.stringify(report)}`;
    }
    return null;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clusters.map((cluster) => cluster.stop()));
  }
}

/** What is wrong with those that are given, or with fresh ones, which are compared and stopped in the end. */
export async function onTargets(
  given: Targets | undefined,
  use: (targets: Targets) => Promise<string | null>,
): Promise<string | null> {
  if (given !== undefined) return use(given);
  const targets = await Targets.start();
  try {
    return (await use(targets)) ?? (await targets.end());
  } finally {
    await targets.stop();
  }
}
