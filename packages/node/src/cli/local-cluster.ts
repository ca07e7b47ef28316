/** The nodes of `ingot up` together: started in order, awaited, watched, ended.
 *
 *  Node 1 must answer on its control port before the others are started, since they join through
 *  it. A node that ends before all are ready fails the start; one that ends later is reported. */
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Credentials } from '../shared/credentials.ts';
import { EXIT_REFUSED, IngotError } from '../shared/errors.ts';
import { hostPort } from './address.ts';
import { type Asked, askNode } from './ask.ts';
import { type ChildEnd, ChildNode } from './child-node.ts';
import { isSettled } from './settled.ts';
import { type NodePlan, UP_HOST } from './up-plan.ts';

/** How cli/main.ts begins the sentence that ends a command. */
const ERROR_PREFIX = 'ingot: ';
const POLL_MS = 100;
/** A cluster that takes longer to spread its partitions is announced all the same: it serves. */
const SETTLE_POLLS_MAX = 600;
/** Time enough for a last checkpoint of much that has changed; a second Ctrl-C does not wait. */
const STOP_GRACE_MS = 130_000;

export interface ClusterEvents {
  readonly onLogLine: (line: string) => void;
  readonly onReady: (child: ChildNode) => void;
  /** All are ready; partitions still move to where they belong. */
  readonly onSpreading: () => void;
  /** A node ended that nobody asked to end, after all were ready. */
  readonly onLost: (child: ChildNode, end: ChildEnd) => void;
}

export class LocalCluster {
  readonly children: ChildNode[] = [];
  readonly #credentials: Credentials;
  readonly #events: ClusterEvents;
  #stopping = false;

  constructor(credentials: Credentials, events: ClusterEvents) {
    this.#credentials = credentials;
    this.#events = events;
  }

  /** Resolves when every node is ready and has its share, or when a stop was asked for
   *  meanwhile. */
  async start(plans: readonly NodePlan[]): Promise<void> {
    const [first, ...others] = plans;
    this.#spawn(first);
    await this.#until(() => accepts(first.ports.control));
    for (const plan of others) this.#spawn(plan);
    await Promise.all(this.children.map((child) => this.#awaitReady(child)));
    if (!this.#stopping && others.length > 0) await this.#awaitSettled(first);
    if (this.#stopping) return;
    for (const child of this.children) {
      void child.ended.then((end) => {
        if (!this.#stopping) this.#events.onLost(child, end);
      });
    }
  }

  /** Asks every node to end, and ends it where it does not. They end together, so none hands over to
   *  another. True: all ended as asked. */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    const running = this.children.filter((child) => child.end === null);
    for (const child of running) child.signal('SIGHUP');
    const timer = setTimeout(() => this.kill(), STOP_GRACE_MS);
    const ends = await Promise.all(running.map((child) => child.ended));
    clearTimeout(timer);
    return ends.every((end) => end.code === 0);
  }

  kill(): void {
    for (const child of this.children) if (child.end === null) child.signal('SIGKILL');
  }

  #spawn(plan: NodePlan): ChildNode {
    const child = new ChildNode(plan, this.#events.onLogLine);
    this.children.push(child);
    return child;
  }

  async #awaitReady(child: ChildNode): Promise<void> {
    await this.#until(() => isReady(child.plan.ports.http));
    if (!this.#stopping) this.#events.onReady(child);
  }

  async #awaitSettled(founder: NodePlan): Promise<void> {
    this.#events.onSpreading();
    const address = hostPort(UP_HOST, founder.ports.control);
    let polls = 0;
    await this.#until(
      async () =>
        ++polls > SETTLE_POLLS_MAX ||
        (await isSettledAt({ address, credentials: this.#credentials })),
    );
  }

  /** Asks first and looks for dead nodes after: what answers on a dead node's port is a
   *  stranger. */
  async #until(holds: () => Promise<boolean>): Promise<void> {
    while (!this.#stopping) {
      const isTrue = await holds();
      for (const { plan, end } of this.children) if (end !== null) throw startFailure(plan, end);
      if (isTrue) return;
      await delay(POLL_MS);
    }
  }
}

/** What became of a node after all were ready, and what the command below it is for. */
export function lostText(end: ChildEnd): string {
  if (end.hasLeft) return 'has left the cluster. To have it join again, with nothing in its memory';
  if (end.code === 0) return 'was stopped. To start it again';
  return `${endText(end)}; it is not restarted. To start it again`;
}

/** How a process ended, in words that follow its name. */
function endText(end: ChildEnd): string {
  return end.signal === null ? `ended with exit code ${end.code}` : `was ended by ${end.signal}`;
}

function startFailure(plan: NodePlan, end: ChildEnd): IngotError {
  const sentence = end.lastLines.findLast((line) => line.startsWith(ERROR_PREFIX));
  const why = sentence?.slice(ERROR_PREFIX.length) ?? [endText(end), ...end.lastLines].join('\n');
  return new IngotError(
    'NODE_FAILED',
    `${plan.id} did not start: ${why}`,
    end.code || EXIT_REFUSED,
  );
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, UP_HOST);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function isSettledAt(asked: Asked): Promise<boolean> {
  try {
    return isSettled(await askNode(asked, (client) => client.status('cluster')));
  } catch (error) {
    // A node that is too busy to answer is asked again.
    if (error instanceof IngotError) return false;
    throw error;
  }
}

async function isReady(httpPort: number): Promise<boolean> {
  try {
    const response = await fetch(`http://${UP_HOST}:${httpPort}/readyz`);
    await response.body?.cancel();
    return response.status === 200;
  } catch {
    return false;
  }
}
