/** Two nodes whose replication connections run through links that a test can cut.
 *
 *  A node is told to others under its advertised host. Each gets a loopback address of its own, where
 *  nothing listens but links to the real ports: so that one kind of connection can be cut while
 *  both processes live, keep their memory and hear each other's heartbeats. */
import { MESSAGE_BYTES } from '../../packages/replication/src/preamble.ts';
import { type ClusterShape, LocalCluster, type TestNode } from '../support/local-cluster.ts';
import { type LinkOptions, TcpLink } from '../support/tcp-link.ts';

/** Each side sends two messages before its first frame. */
const PREAMBLE_BYTES = 2 * MESSAGE_BYTES;
const HOST = '127.0.0.1';
/** Where others find node i. */
const advertised = (i: number): string => `127.0.0.${i + 1}`;

export class LinkedPair {
  readonly cluster: LocalCluster;
  readonly #replication: TcpLink[] = [];
  readonly #others: TcpLink[] = [];

  readonly #options: LinkOptions;

  private constructor(cluster: LocalCluster, options: LinkOptions) {
    this.cluster = cluster;
    this.#options = options;
  }

  /** Node 1 is up; node 2 is not started yet. With `frames` faults can be armed on the links. */
  static async first(
    shape: Omit<ClusterShape, 'nodes' | 'argsOf'>,
    { frames = false } = {},
  ): Promise<LinkedPair> {
    const cluster = await LocalCluster.plan({
      ...shape,
      nodes: 2,
      copies: 2,
      argsOf: (i) => ['--advertise', advertised(i)],
    });
    const preambleBytes = shape.secret === undefined ? 0 : PREAMBLE_BYTES;
    const pair = new LinkedPair(cluster, { frames, preambleBytes });
    for (const [index, node] of cluster.nodes.entries()) await pair.#link(index + 1, node);
    cluster.node(1).launch();
    await cluster.node(1).answers('/readyz');
    return pair;
  }

  /** No bytes of any copy pass from now on, in either direction. */
  cut(): void {
    for (const link of this.#replication) link.cut();
  }

  heal(): void {
    for (const link of this.#replication) link.heal();
  }

  /** Copies of what node i leads travel through here. */
  linkOf(i: number): TcpLink {
    return this.#replication[i - 1];
  }

  get links(): readonly TcpLink[] {
    return this.#replication;
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
    for (const link of [...this.#replication, ...this.#others]) link.close();
  }

  async #link(i: number, { ports }: TestNode): Promise<void> {
    const open = (port: number, options: LinkOptions = {}): Promise<TcpLink> =>
      TcpLink.open({ host: advertised(i), port }, { host: HOST, port }, options);
    this.#replication.push(await open(ports.replication, this.#options));
    for (const port of [ports.client, ports.control, ports.cluster, ports.follower]) {
      this.#others.push(await open(port));
    }
  }
}
