/** The network of a cluster of real processes: every connection from one node to another passes through here, and each
 *  direction between any two nodes can be held up, slowed down, or reset.
 *
 *  A node is told to others under its advertised host. Each has a loopback address of its own, where nothing listens
 *  but this; who opened a connection the kernel tells (`connecting-process.ts`). What is held is not lost: it arrives
 *  when the direction is open again, as on a cable that was pulled for a while.
 *  Bounded: what one side sends is read no faster than the other side takes it. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { connectingProcesses } from '../support/connecting-process.ts';
import type { TestNode } from '../support/local-cluster.ts';

/** What happens to bytes from one node to another. */
export interface Passage {
  readonly held: boolean;
  readonly delayMs: number;
  /** Connections between the two are reset, and none is made. */
  readonly refused: boolean;
}

export const OPEN: Passage = { held: false, delayMs: 0, refused: false };
const HOST = '127.0.0.1';
/** Who is no node: clients, and tools. */
const OUTSIDE = 'outside';
const QUEUE_BYTES_MAX = 1 << 20;
/** A new connection waits for so long until it is looked at. */
const ADMIT_EVERY_MS = 5;

interface Address {
  readonly host: string;
  readonly port: number;
}

/** A connection to the node `to` of which nobody knows yet whose it is. */
interface Arrival {
  readonly incoming: Socket;
  readonly at: Address;
  readonly to: string;
}

/** Where others find node i. */
export function advertised(i: number): string {
  return `127.0.0.${i + 1}`;
}

export class Network {
  readonly #nodes: readonly TestNode[];
  readonly #servers: Server[] = [];
  readonly #passages = new Map<string, Passage>();
  readonly #conversations = new Set<Conversation>();
  readonly #disturbed = new Map<string, number>();
  readonly #arrivals: Arrival[] = [];
  #admission: NodeJS.Timeout | null = null;

  private constructor(nodes: readonly TestNode[]) {
    this.#nodes = nodes;
  }

  /** Nodes are not started yet, and will advertise `advertised(i)`. */
  static async around(nodes: readonly TestNode[]): Promise<Network> {
    const network = new Network(nodes);
    for (const [index, node] of nodes.entries()) {
      const { http: _, ...ports } = node.ports;
      for (const port of Object.values(ports)) await network.#listen(index + 1, node.id, port);
    }
    return network;
  }

  /** From now on, for connections that are open and those to come. */
  set(from: string, to: string, passage: Partial<Passage>): void {
    const key = directionOf(from, to);
    const next = { ...this.passage(from, to), ...passage };
    this.#passages.set(key, next);
    for (const conversation of this.#conversations) {
      if (!conversation.isBetween(from, to)) continue;
      if (next.refused) {
        this.disturb(from, to);
        conversation.reset();
      } else conversation.goOn();
    }
  }

  /** How often something on its way from one to the other was held, delayed, reset or refused. */
  disturbed(from: string, to: string): number {
    return this.#disturbed.get(directionOf(from, to)) ?? 0;
  }

  disturb(from: string, to: string): void {
    this.#disturbed.set(directionOf(from, to), 1 + this.disturbed(from, to));
  }

  passage(from: string, to: string): Passage {
    return this.#passages.get(directionOf(from, to)) ?? OPEN;
  }

  healAll(): void {
    this.#passages.clear();
    for (const conversation of this.#conversations) conversation.goOn();
  }

  close(): void {
    for (const server of this.#servers) server.close();
    if (this.#admission !== null) clearTimeout(this.#admission);
    for (const { incoming } of this.#arrivals) incoming.destroy();
    for (const conversation of this.#conversations) conversation.reset();
  }

  async #listen(i: number, id: string, port: number): Promise<void> {
    const host = advertised(i);
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    server.on('connection', (socket) => this.#accept(socket, { host, port }, id));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    this.#servers.push(server);
  }

  #accept(incoming: Socket, at: Address, to: string): void {
    incoming.on('error', () => undefined); // whoever it is for is told by its end
    this.#arrivals.push({ incoming, at, to });
    this.#admission ??= setTimeout(() => this.#admit(), ADMIT_EVERY_MS);
  }

  /** All that have come meanwhile: to find out who they are takes as long for many as for one. */
  #admit(): void {
    this.#admission = null;
    const arrivals = this.#arrivals.splice(0);
    const running = this.#nodes.filter((node) => node.isRunning);
    const connections = arrivals.map(({ incoming, at }) => {
      const { remoteAddress: host = '', remotePort: port = 0 } = incoming;
      return { from: { host, port }, to: at };
    });
    const pids = connectingProcesses(
      connections,
      running.map(({ pid }) => pid),
    );
    for (const [i, arrival] of arrivals.entries()) {
      const from = running.find((node) => node.pid === pids[i])?.id ?? OUTSIDE;
      this.#connect(from, arrival);
    }
  }

  #connect(from: string, { incoming, at, to }: Arrival): void {
    if (incoming.destroyed) return;
    if (this.passage(from, to).refused || this.passage(to, from).refused) {
      this.disturb(from, to);
      this.disturb(to, from);
      incoming.resetAndDestroy();
      return;
    }
    const outgoing = connect({ host: HOST, port: at.port, allowHalfOpen: true });
    const conversation = new Conversation(this, from, to, incoming, outgoing);
    this.#conversations.add(conversation);
    void conversation.ended.then(() => this.#conversations.delete(conversation));
  }
}

function directionOf(from: string, to: string): string {
  return `${from}>${to}`;
}

/** One connection: two sockets, two directions. */
class Conversation {
  readonly ended: Promise<unknown>;
  readonly #ids: readonly [string, string];
  readonly #sockets: readonly [Socket, Socket];
  readonly #flows: readonly [Flow, Flow];

  constructor(network: Network, from: string, to: string, incoming: Socket, outgoing: Socket) {
    this.#ids = [from, to];
    this.#sockets = [incoming, outgoing];
    this.ended = Promise.all(
      this.#sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))),
    );
    this.#flows = [
      new Flow(new Direction(network, from, to), incoming, outgoing),
      new Flow(new Direction(network, to, from), outgoing, incoming),
    ];
    incoming.resume();
  }

  isBetween(a: string, b: string): boolean {
    return this.#ids.includes(a) && this.#ids.includes(b) && a !== b;
  }

  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  goOn(): void {
    for (const flow of this.#flows) flow.goOn();
  }
}

/** From one node to another, now. */
class Direction {
  readonly #network: Network;
  readonly #from: string;
  readonly #to: string;

  constructor(network: Network, from: string, to: string) {
    this.#network = network;
    this.#from = from;
    this.#to = to;
  }

  get passage(): Passage {
    return this.#network.passage(this.#from, this.#to);
  }

  disturb(): void {
    this.#network.disturb(this.#from, this.#to);
  }
}

interface Piece {
  readonly dueMs: number;
  readonly what: Buffer | 'end' | 'reset';
}

/** One direction of a connection. Pieces leave in the order in which they came, each when it is due. */
class Flow {
  readonly #direction: Direction;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #queue: Piece[] = [];
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(direction: Direction, from: Socket, to: Socket) {
    this.#direction = direction;
    this.#from = from;
    this.#to = to;
    from.setNoDelay(true);
    from.on('data', (bytes: Buffer) => {
      this.#queuedBytes += bytes.length;
      this.#push(bytes);
    });
    from.once('end', () => this.#push('end'));
    from.on('error', () => this.#push('reset'));
    from.once('close', () => {
      if (!from.readableEnded) this.#push('reset');
    });
    to.on('drain', () => this.#readOn());
    to.once('close', () => {
      if (this.#timer !== null) clearTimeout(this.#timer);
    });
  }

  goOn(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#pump();
  }

  #push(what: Piece['what']): void {
    const { held, delayMs } = this.#direction.passage;
    if (held || delayMs > 0) this.#direction.disturb();
    this.#queue.push({ dueMs: performance.now() + delayMs, what });
    if (this.#timer === null) this.#pump();
  }

  #pump(): void {
    for (;;) {
      const piece = this.#queue[0];
      if (piece === undefined || this.#direction.passage.held || this.#to.destroyed) break;
      const waitMs = piece.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.goOn(), waitMs);
        break;
      }
      this.#queue.shift();
      this.#pass(piece.what);
    }
    this.#readOn();
  }

  #pass(what: Piece['what']): void {
    if (what === 'end') this.#to.end();
    else if (what === 'reset') this.#to.resetAndDestroy();
    else {
      this.#queuedBytes -= what.length;
      this.#to.write(what);
    }
  }

  /** Reads what comes only while there is room for it, here and at the receiver. */
  #readOn(): void {
    const waits = this.#queuedBytes > QUEUE_BYTES_MAX || this.#to.writableNeedDrain;
    if (waits) this.#from.pause();
    else this.#from.resume();
  }
}
