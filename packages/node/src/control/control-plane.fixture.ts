/** What tests of the control plane on loopback need: free ports, folders that vanish, control
 *  planes with simulated nodes behind them, and a way to wait for a condition. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type MemberChange, withMembers } from '../acks/in-sync-changes.ts';
import { type Credentials, NO_CREDENTIALS } from '../shared/credentials.ts';
import { firstPorts } from '../shared/map.fixture.ts';
import { type ClusterMap, ledBy, type Life, type NodeId, nodeOf } from '../shared/map.ts';
import { ControlPlane } from './control-plane.ts';
import { type Identity, openIdentity } from './identity.ts';
import type { ControlLog, ControlSettings, LogFields } from './types.ts';
import { SimulatedNode } from './simulated-node.fixture.ts';

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function until(holds: () => boolean, timeoutMs: number = 15_000): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; !holds(); await delay(10)) {
    if (Date.now() > deadline) throw new Error(`it never came about: ${holds.toString()}`);
  }
}

export class LogRecorder implements ControlLog {
  readonly lines: LogFields[] = [];

  info(fields: LogFields): void {
    this.lines.push(fields);
  }

  warn(fields: LogFields): void {
    this.lines.push(fields);
  }

  error(fields: LogFields): void {
    this.lines.push(fields);
  }

  events(): string[] {
    return this.lines.map(({ event }) => event);
  }
}

/** One node: a real control plane and identity, a simulated rest. */
export interface TestMember {
  plane: ControlPlane;
  node: SimulatedNode;
  identity: Identity;
  log: LogRecorder;
  settings: ControlSettings;
  stop(): Promise<void>;
}

export function controlAddress({ settings }: TestMember): string {
  return `127.0.0.1:${settings.ports.control}`;
}

/** Every partition is led and copied, and the leads are spread. */
export function isBalanced(map: ClusterMap): boolean {
  const leads = map.nodes.map(({ id }) => ledBy(map, id).length);
  const isWhole = map.placement.every(
    ({ primary, followers }) => primary !== null && followers.length === map.copies - 1,
  );
  return isWhole && Math.max(...leads) - Math.min(...leads) <= 1;
}

function lifeIn(map: ClusterMap, node: NodeId): Life | null {
  const listed = nodeOf(map, node);
  return listed === null ? null : { node, incarnation: listed.incarnation };
}

/** Nodes of one test; `close` stops those that run and removes their data dirs. */
export class TestMembers {
  readonly #running: Set<TestMember> = new Set();
  readonly #tending: Set<TestMember> = new Set();
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'ingot-control-'));

  dataDir(id: NodeId): string {
    return join(this.#folder, id);
  }

  async start(
    id: NodeId,
    change: Partial<ControlSettings> & { dataDir?: string; credentials?: Credentials } = {},
  ): Promise<TestMember> {
    const { dataDir = this.dataDir(id), credentials = NO_CREDENTIALS, ...changed } = change;
    const settings = { ...testSettings(id, await freePort()), ...changed };
    const identity = await openIdentity(dataDir, id);
    const log = new LogRecorder();
    const node = new SimulatedNode(id, 0);
    const plane = new ControlPlane({ settings, credentials, identity, log, node });
    const stop = async (): Promise<void> => {
      if (!this.#running.delete(member)) return;
      await plane.stop();
      await identity.close();
    };
    const member: TestMember = { plane, node, identity, log, settings, stop };
    this.#running.add(member);
    try {
      node.apply((await plane.start(new AbortController().signal)).map);
    } catch (error) {
      await stop();
      throw error;
    }
    plane.onMap((map) => node.apply(map));
    return member;
  }

  /** A founder and two that joined, with everything spread over them. */
  async three(): Promise<[TestMember, TestMember, TestMember]> {
    const n1 = await this.start('n1', { found: true });
    const join = [controlAddress(n1)];
    const [n2, n3] = await Promise.all([this.start('n2', { join }), this.start('n3', { join })]);
    await this.settled((map) => map.nodes.length === 3 && isBalanced(map));
    return [n1, n2, n3];
  }

  /** Lets every primary send what it has to its followers, once. */
  replicate(): void {
    for (const { node: primary } of this.#running) {
      for (const [partition, { followers }] of primary.copies) {
        for (const id of followers.keys()) {
          const follower = [...this.#running].find(({ node }) => node.id === id);
          if (follower !== undefined) primary.sendTo(follower.node, partition);
        }
      }
    }
    for (const member of this.#running) this.#tend(member);
  }

  /** A primary enters those who stream from it into the in-sync sets. */
  #tend(member: TestMember): void {
    const { plane, node } = member;
    const map = plane.map();
    const self = lifeIn(map, node.id);
    if (self === null || this.#tending.has(member)) return;
    const changes = [...node.copies].flatMap(([partition, { role, epoch, followers }]) =>
      role !== 'primary'
        ? []
        : [...followers].flatMap(([id, state]): MemberChange[] => {
            const life = state === 'streaming' ? lifeIn(map, id) : null;
            return life === null
              ? []
              : [{ partition, epoch, life, kind: 'add', mayPass: false, isOfUse: false }];
          }),
    );
    if (withMembers(map, self, changes) === map) return;
    this.#tending.add(member);
    plane
      .propose((current) => withMembers(current, self, changes))
      .catch(() => undefined) // without a majority: the next round tries again
      .finally(() => this.#tending.delete(member));
  }

  /** Waits, with replication going on, until `holds` of the map of every running node. */
  async settled(holds: (map: ClusterMap) => boolean): Promise<void> {
    await until(() => {
      this.replicate();
      return [...this.#running].every(({ plane }) => holds(plane.map()));
    });
  }

  async close(): Promise<void> {
    for (const member of this.#running) await member.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function testSettings(id: NodeId, controlPort: number): ControlSettings {
  return {
    id,
    host: '127.0.0.1',
    advertise: '127.0.0.1',
    ports: { ...firstPorts, control: controlPort },
    found: false,
    join: [],
    partitions: 8,
    copies: 2,
    capacityBytes: 2 ** 30,
    capacityMaxBytes: 2 ** 33,
    valueMaxBytes: null,
    eviction: 'sieve',
    minIsr: 1,
    uncleanFailover: true,
    witness: false,
    checkpointEveryMs: 0,
    followOnly: false,
    forgetAfterMs: 0,
  };
}
