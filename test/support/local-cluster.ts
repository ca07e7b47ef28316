/** A cluster of real node processes on this machine: started, killed, started again, ended.
 *
 *  Every node is `packages/node/bin/ingot.js serve` with ports and a data dir of its own. A suite
 *  shares one cluster; vitest's hooks start and stop it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClusterView, viewOf } from '../../packages/node/src/cli/cluster-view.ts';
import { ControlClient } from '../../packages/node/src/control/control-client.ts';
import { PLAIN_ACCESS } from '../../packages/node/src/control/peer-credentials.ts';
import { type Credentials, NO_CREDENTIALS } from '../../packages/node/src/shared/credentials.ts';
import { PORT_FLAGS, type Ports } from '../../packages/node/src/shared/settings.ts';
import type { Child } from './child.ts';
import { eventually, Hopeless } from './eventually.ts';
import { startIngot } from './ingot.ts';
import { nodePorts } from './ports.ts';
import { scrape } from './scrape.ts';

export interface ClusterShape {
  readonly nodes: number;
  readonly capacity?: string;
  readonly partitions?: number;
  readonly copies?: number;
  /** More arguments of the node that founds. */
  readonly foundArgs?: readonly string[];
  /** More arguments of every `ingot serve`. */
  readonly args?: readonly string[];
  /** More arguments of node i (from 1). */
  readonly argsOf?: (i: number, ports: Ports) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Of the cluster: every connection between nodes opens with its proof. */
  readonly secret?: string;
  /** Of whoever asks on behalf of the test; those of the nodes are in `args`. */
  readonly credentials?: Credentials;
}

const START_WITHIN_MS = 100_000;
const SETTLE_WITHIN_MS = 120_000;
/** The end of a log, in a failure. */
const LOG_LINES_SHOWN = 15;

/** One line of a node's log. */
export interface LogLine {
  readonly level: number;
  readonly event: string;
  readonly [field: string]: unknown;
}

export class TestNode {
  readonly id: string;
  readonly ports: Ports;
  readonly dataDir: string;
  readonly args: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #lives: Child[] = [];

  constructor(
    id: string,
    ports: Ports,
    dataDir: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ) {
    this.id = id;
    this.ports = ports;
    this.dataDir = dataDir;
    this.args = args;
    this.#env = env;
  }

  get process(): Child {
    const child = this.#lives.at(-1);
    if (child === undefined) throw new Error(`${this.id} was never started`);
    return child;
  }

  get isRunning(): boolean {
    return this.#lives.length > 0 && this.process.end === null;
  }

  get pid(): number {
    return this.process.pid;
  }

  /** What the process that runs now, or ran last, has logged. */
  get log(): LogLine[] {
    return this.process.stdoutLines
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  /** All that its processes have printed, in order. */
  get everything(): string[] {
    return this.#lives.flatMap(({ stdoutLines, stderrLines }) => [...stdoutLines, ...stderrLines]);
  }

  launch(): void {
    this.#lives.push(startIngot(this.args, { env: this.#env }));
  }

  /** Waits until /healthz (alive) or /readyz (every copy held here is consistent) says yes. */
  async answers(path: '/healthz' | '/readyz'): Promise<void> {
    await eventually(
      `${this.id} answers ${path}`,
      async () => {
        if (!this.isRunning) throw new Hopeless(`it ended: ${JSON.stringify(this.process.end)}`);
        const response = await fetch(`http://127.0.0.1:${this.ports.http}${path}`);
        const text = await response.text();
        if (response.status !== 200) throw new Error(text);
        return true;
      },
      { withinMs: START_WITHIN_MS },
    ).catch((error: unknown) => {
      const lastLines = this.process.output.split('\n').slice(-LOG_LINES_SHOWN).join('\n');
      throw new Error(`${String(error)}\nlast of ${this.id}:\n${lastLines}`, { cause: error });
    });
  }
}

/** Data dirs of clusters that nobody has stopped. */
const folders = new Set<string>();
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export class LocalCluster {
  readonly nodes: readonly TestNode[];
  readonly #folder: string;
  readonly #shape: ClusterShape;

  private constructor(shape: ClusterShape, folder: string, nodes: readonly TestNode[]) {
    this.#shape = shape;
    this.#folder = folder;
    this.nodes = nodes;
  }

  /** Nodes with ports and arguments, none of them started. */
  static async plan(shape: ClusterShape): Promise<LocalCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'ingot-test-'));
    folders.add(folder);
    const nodes: TestNode[] = [];
    for (let i = 1; i <= shape.nodes; i++) {
      const ports = await nodePorts();
      const dataDir = join(folder, `n${i}`);
      const args = serveArguments(shape, i, ports, dataDir, nodes[0]?.ports.control ?? 0);
      nodes.push(new TestNode(`n${i}`, ports, dataDir, args, environmentOf(shape)));
    }
    return new LocalCluster(shape, folder, nodes);
  }

  /** A cluster that is up, with every copy where it belongs. */
  static async start(shape: ClusterShape): Promise<LocalCluster> {
    const cluster = await LocalCluster.plan(shape);
    try {
      for (const [index, node] of cluster.nodes.entries()) {
        node.launch();
        if (index === 0) await node.answers('/healthz');
      }
      await cluster.settled();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** Node i, counted from 1 as `ingot up` does. */
  node(i: number): TestNode {
    return this.nodes[i - 1];
  }

  get running(): TestNode[] {
    return this.nodes.filter((node) => node.isRunning);
  }

  /** kill -9 */
  async kill(i: number): Promise<void> {
    await this.node(i).process.signal('SIGKILL');
  }

  /** The same command line again, over the same data dir. */
  restart(i: number): void {
    this.node(i).launch();
  }

  /** Asks a node's control port. The caller closes it. */
  control(node: TestNode): ControlClient {
    const { secret } = this.#shape;
    const ofSecret = {
      ...NO_CREDENTIALS,
      secret: secret === undefined ? null : Buffer.from(secret),
    };
    const { credentials = ofSecret } = this.#shape;
    const address = `127.0.0.1:${node.ports.control}`;
    return new ControlClient(address, null, { ...PLAIN_ACCESS, credentials });
  }

  /** What a running node says of the cluster. */
  async view(node: TestNode = this.running[0]): Promise<ClusterView> {
    const client = this.control(node);
    try {
      return viewOf(await client.status('cluster'));
    } finally {
      client.close();
    }
  }

  /** Waits until all nodes are up and ready, and every copy is where placement wants it, in sync. */
  async settled(): Promise<ClusterView> {
    await Promise.all(this.nodes.map((node) => node.answers('/readyz')));
    const copies = Math.min(this.#shape.copies ?? 2, this.nodes.length);
    return eventually(
      'the cluster map settles',
      async () => {
        const view = await this.view();
        const unrest = reasonsForUnrest(view, this.nodes.length, copies);
        if (unrest !== null) throw new Error(unrest);
        return view;
      },
      { withinMs: SETTLE_WITHIN_MS, everyMs: 100 },
    );
  }

  /** Waits until what the first running node says of the cluster is as it should be. */
  async until(claim: string, holds: (view: ClusterView) => boolean): Promise<ClusterView> {
    return eventually(claim, async () => {
      const view = await this.view();
      if (!holds(view)) throw new Error('not yet');
      return view;
    });
  }

  /** Waits until followers have acknowledged everything that was written so far. */
  async replicated(): Promise<void> {
    await eventually('followers acknowledge what was written', async () => {
      const late = lateFollower(await this.view());
      if (late !== null) throw new Error(late);
      return true;
    });
  }

  /** A metric over the running nodes. */
  async sum(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const scrapes = await Promise.all(this.running.map((node) => scrape(node.ports.http)));
    return scrapes.reduce((total, one) => total + one.sum(name, labels), 0);
  }

  async stop(): Promise<void> {
    // Nobody is left to hand over to.
    await Promise.all(this.running.map((node) => node.process.stop(10_000, 'SIGHUP')));
    rmSync(this.#folder, { recursive: true, force: true });
    folders.delete(this.#folder);
  }
}

function environmentOf({ env = {}, secret }: ClusterShape): Readonly<Record<string, string>> {
  return secret === undefined ? env : { ...env, INGOT_SECRET: secret };
}

function serveArguments(
  shape: ClusterShape,
  i: number,
  ports: Ports,
  dataDir: string,
  founderControlPort: number,
): string[] {
  const names = Object.keys(PORT_FLAGS) as (keyof Ports)[];
  const geometry = [
    ['--capacity', shape.capacity],
    ['--partitions', shape.partitions],
    ['--copies', shape.copies],
  ].filter(([, given]) => given !== undefined);
  return [
    ...['serve', '--id', `n${i}`, '--data-dir', dataDir, '--workers', '1'],
    ...names.flatMap((name) => [PORT_FLAGS[name], String(ports[name])]),
    ...(i === 1
      ? ['--found', ...geometry.flat().map(String), ...(shape.foundArgs ?? [])]
      : ['--join', `127.0.0.1:${founderControlPort}`]),
    // Saving copies is for the tests that are about it.
    ...['--checkpoint-every', '0'],
    ...(shape.args ?? []),
    ...(shape.argsOf?.(i, ports) ?? []),
  ];
}

/** Why placement is not what it will be; null when nothing is left to move. */
function reasonsForUnrest(view: ClusterView, nodes: number, copies: number): string | null {
  if (view.nodes.length !== nodes) return `${view.nodes.length} of ${nodes} nodes in the map`;
  const down = view.nodes.filter(({ state, silence }) => state !== 'up' || silence !== '');
  if (down.length > 0) return `not up: ${down.map(({ id }) => id).join(', ')}`;
  for (const { id, primary, followers } of view.partitions) {
    if (primary === null) return `partition ${id} has no primary`;
    if (followers.length !== copies - 1) return `partition ${id} has ${followers.length} followers`;
    const late = followers.find(({ state }) => state !== 'streaming');
    if (late !== undefined) return `partition ${id} on ${late.node} is ${late.state}`;
  }
  const members = view.nodes.filter(({ observer }) => !observer);
  const leads = members.map((node) => node.leads);
  const held = members.map((node) => node.leads + node.follows);
  if (spread(leads) > 1) return `leads ${leads.join(', ')}`;
  return spread(held) > 1 ? `copies ${held.join(', ')}` : null;
}

function lateFollower({ partitions }: ClusterView): string | null {
  for (const { id, seq, followers } of partitions) {
    const late = followers.find(({ state, lagSeqs }) => state !== 'streaming' || lagSeqs !== 0);
    if (late !== undefined) return `partition ${id} at ${seq}: ${JSON.stringify(late)}`;
  }
  return null;
}

function spread(counts: readonly number[]): number {
  return Math.max(...counts) - Math.min(...counts);
}
