/** Scenarios: what happens and what must come of it, as readable text, run by the simulator.
 *
 *  One partition, one statement per line, `#` begins a comment. Time passes in `run`, `until` and `heal` alone. `heal`
 *  brings back every link and node and waits until the cluster is at rest: then all that the simulator claims of a
 *  cluster at rest must hold as well. The statements are the rows below. */
import { CHUNK_BYTES, hashKey, PartitionMap } from '@ingot/store';
import type { FlipTarget } from './connection.ts';
import type { SimCopy } from './copy.ts';
import { Faults } from './faults.ts';
import { settleMsMax, withoutWaiting } from './simulation.ts';
import { Broken } from './trace.ts';
import { Workload } from './workload.ts';
import { World } from './world.ts';

/** Runs a scenario; every step of chance in it comes from `seed`.
 *  @throws Error that names the line and what was not as it says. */
export function runScenario(text: string, seed = 1): World {
  const scenario = new Scenario(seed);
  text.split('\n').forEach((line, i) => {
    const statement = line.replace(/#.*/, '').trim();
    if (statement === '') return;
    try {
      withoutWaiting(() => scenario.perform(statement));
    } catch (error) {
      throw new Error(`line ${i + 1}, "${statement}": ${(error as Error).message}`, {
        cause: error,
      });
    }
  });
  return scenario.world;
}

const until = 1e9;
const untilMsMax = 20_000;
const largeBytes = 60_000;

type Row = readonly [pattern: RegExp, perform: (scenario: Scenario, ...words: string[]) => void];

const STATEMENTS: readonly Row[] = [
  [/^nodes (.+)$/, (scenario, names) => scenario.found(names.split(' '))],
  [/^set (\w) (\w+)=(\w+)$/, (scenario, node, key, value) => scenario.set(node, [[key, value]])],
  [/^transaction (\w) (.+)$/, (scenario, node, pairs) => scenario.set(node, pairsOf(pairs))],
  [/^fill (\w) (\d+)$/, (scenario, node, count) => scenario.fill(node, Number(count), 20)],
  [/^lap (\w)$/, (scenario, node) => scenario.fill(node, 6, 0)],
  [/^run (\d+) ms$/, (scenario, ms) => scenario.run(Number(ms))],
  [/^until (\w) (copies|follows)$/, (scenario, node, what) => scenario.until(node, what)],
  [/^drop link (\w)-(\w)$/, (scenario, a, b) => scenario.dropLink(a, b)],
  [/^drop link (\w)-(\w) at chunk (\d+)$/, (scenario, a, b, n) => scenario.dropAt(a, b, Number(n))],
  [/^slow link (\w)-(\w)$/, (scenario, a, b) => scenario.slowLink(a, b)],
  [/^stall link (\w)-(\w)$/, (scenario, a, b) => scenario.stallLink(a, b)],
  [/^restore link (\w)-(\w)$/, (scenario, a, b) => scenario.world.link(a, b).heal()],
  [
    /^flip (header|redo|chunk) on link (\w)-(\w)$/,
    (scenario, what, a, b) => scenario.flip(what as FlipTarget, a, b),
  ],
  [/^flip memory (\w) at (\w+)$/, (scenario, node, key) => scenario.flipMemory(node, key)],
  [/^crash (\w)$/, (scenario, node) => scenario.crash(node)],
  [/^pause (\w) (\d+) ms$/, (scenario, node, ms) => scenario.pause(node, Number(ms))],
  [/^promote (\w)$/, (scenario, node) => scenario.promote(node, 0)],
  [/^promote (\w) unheard$/, (scenario, node) => scenario.promote(node, until)],
  [/^heal$/, (scenario) => scenario.heal()],
  [/^expect (\w) (.+)$/, (scenario, node, what) => scenario.expect(node, what.split(', '))],
];

type Expectation = readonly [
  pattern: RegExp,
  holds: (scenario: Scenario, copy: SimCopy, ...words: string[]) => string | true,
];

const EXPECTATIONS: readonly Expectation[] = [
  [
    /^equals (\w)$/,
    (scenario, copy, other) =>
      copy.partition.imageBuffer.equals(scenario.copy(other).partition.imageBuffer) ||
      'the images differ',
  ],
  [/^(\w+)=(\w+)$/, (scenario, copy, key, value) => same(scenario.get(copy, key), value)],
  [/^has no (\w+)$/, (scenario, copy, key) => same(scenario.get(copy, key), 'nothing')],
  [/^is (not )?consistent$/, (_, copy, not) => is(copy.partition.consistent(), not)],
  [/^is (not )?promotable$/, (_, copy, not) => is(copy.promotable, not)],
  [
    /^(full|catch-up|rewind|stream) (\d+)$/,
    ({ world }, copy, kind, times) =>
      same(String(world.syncs.get(`${copy.name} ${kind}`) ?? 0), times),
  ],
  [
    /^(repaired|refused) (\d+)$/,
    ({ world: { trace } }, _, what, times) => {
      const names = COUNTED[what] ?? [];
      return same(
        String(names.reduce((sum, name) => sum + (trace.counts.get(name) ?? 0), 0)),
        times,
      );
    },
  ],
];

const COUNTED: Readonly<Record<string, readonly string[]>> = {
  repaired: ['bits in memory that the scrub repaired', 'chunks repaired after a bulk'],
  refused: ['flipped frames refused'],
};

const same = (actual: string, expected: string): string | true =>
  actual === expected || `it is ${actual}`;
const is = (holds: boolean, not: string | undefined): string | true =>
  holds === (not === undefined) || `it is ${holds ? '' : 'not '}so`;

function pairsOf(text: string): [string, string][] {
  return text.split(' ').map((pair) => {
    const [key = '', value = ''] = pair.split('=');
    return [key, value];
  });
}

class Scenario {
  readonly #seed: number;
  #world: World | null = null;
  #workload: Workload | null = null;
  #faults: Faults | null = null;

  constructor(seed: number) {
    this.#seed = seed;
  }

  get world(): World {
    if (this.#world === null) throw new Error('a scenario begins with its nodes');
    return this.#world;
  }

  perform(statement: string): void {
    for (const [pattern, perform] of STATEMENTS) {
      const words = pattern.exec(statement);
      if (words !== null) return perform(this, ...words.slice(1));
    }
    throw new Error('this is no statement');
  }

  expect(node: string, clauses: readonly string[]): void {
    for (const clause of clauses) {
      const row = EXPECTATIONS.find(([pattern]) => pattern.test(clause));
      if (row === undefined) throw new Error(`"${clause}" is no expectation`);
      const [pattern, holds] = row;
      const words = pattern.exec(clause)?.slice(1) ?? [];
      const outcome = holds(this, this.copy(node), ...words);
      if (outcome !== true) throw new Broken('scenario', `${node} ${clause}: ${outcome}`);
    }
  }

  /** The first node leads. */
  found(names: readonly string[]): void {
    this.#world = new World({ seed: this.#seed, nodes: names.length, partitions: 1 });
    this.#workload = new Workload(this.#world);
    this.#workload.writing = false;
    this.#faults = new Faults(this.#world, this.#workload);
    this.#world.found();
    this.heal();
  }

  copy(node: string): SimCopy {
    const found = this.world.node(node);
    if (found === undefined) throw new Error(`there is no node ${node}`);
    return found.copy(0);
  }

  // ------------------------------------------------------------ keys

  /** One transaction, in one passage of the writer's thread. */
  set(node: string, pairs: readonly (readonly [string, string])[]): void {
    const copy = this.copy(node);
    const { partition } = copy;
    this.#write(copy, () => {
      copy.inTransaction = true;
      partition.beginTransaction();
      for (const [key, value] of pairs) this.#put(copy, key, Buffer.from(value));
      partition.endTransaction();
      copy.inTransaction = false;
      copy.timeline?.endTransaction();
    });
  }

  /** So many large values, `pauseMs` after each. */
  fill(node: string, count: number, pauseMs: number): void {
    const copy = this.copy(node);
    for (let i = 0; i < count; i++) {
      this.#write(copy, () => this.#put(copy, `fill${i}`, Buffer.alloc(largeBytes, i + 1)));
      this.run(pauseMs);
    }
  }

  #put({ partition, node }: SimCopy, key: string, value: Buffer): void {
    const bytes = Buffer.from(key);
    const hash = hashKey(bytes, 0, bytes.length);
    partition.set(hash, bytes, 0, bytes.length, value, 0, value.length, 0, node.clockMs());
  }

  #write(copy: SimCopy, body: () => void): void {
    const { world } = this;
    if (!copy.leads) throw new Error(`${copy.node.id} does not lead`);
    let done = false;
    const write = (): void => {
      copy.partition.enter();
      body();
      copy.partition.leave();
      world.nodeOf(copy).wake(0);
      done = true;
    };
    world.scheduler.after(0, copy.writer, write, copy.gate);
    world.scheduler.runUntil(world.scheduler.nowMs + 1, () => done);
  }

  get({ partition, node }: SimCopy, key: string): string {
    const value = new PartitionMap(partition).get(Buffer.from(key), node.clockMs());
    return value?.toString() ?? 'nothing';
  }

  // ------------------------------------------------------------ trouble

  run(ms: number): void {
    const { scheduler } = this.world;
    scheduler.runUntil(scheduler.nowMs + ms);
  }

  /** `copies`: a bulk is under way. `follows`: it is consistent and connected. */
  until(node: string, what: string): void {
    const { scheduler } = this.world;
    const holds = (): boolean => {
      const copy = this.copy(node);
      if (what === 'copies') return !copy.partition.consistent();
      return copy.partition.consistent() && this.world.node(node)?.following(0) !== null;
    };
    scheduler.runUntil(scheduler.nowMs + untilMsMax, () => scheduler.depth === 0 && holds());
    if (!holds()) throw new Broken('scenario', 'it never does');
  }

  dropLink(a: string, b: string): void {
    this.#faults?.breakLink(this.world.link(a, b), until);
  }

  dropAt(a: string, b: string, chunk: number): void {
    const link = this.world.link(a, b);
    link.cutAtChunk = chunk;
    link.downAfterCutMs = until;
  }

  slowLink(a: string, b: string): void {
    const link = this.world.link(a, b);
    link.bytesPerMs = 300;
    link.latencyMs = 20;
  }

  stallLink(a: string, b: string): void {
    this.world.link(a, b).stalledUntilMs = until * 2;
  }

  /** Of all that goes from the primary to the follower. */
  flip(what: FlipTarget, a: string, b: string): void {
    const link = this.world.link(a, b);
    if (what === 'chunk') link.flipsChunk = true;
    else for (const { toFollower } of this.world.connectionsOver(link)) toFollower.flip = what;
  }

  flipMemory(node: string, key: string): void {
    const copy = this.copy(node);
    const bytes = Buffer.from(key);
    const ref = copy.partition.find(hashKey(bytes, 0, bytes.length), bytes, 0, bytes.length, 0);
    if (ref === 0) throw new Error(`${node} has no ${key}`);
    this.#faults?.flipBit(copy, Math.floor(ref / CHUNK_BYTES));
  }

  crash(node: string): void {
    const found = this.world.node(node);
    if (found !== undefined) this.world.kill(found, until);
  }

  pause(node: string, ms: number): void {
    const { scheduler } = this.world;
    for (const thread of this.world.node(node)?.threads() ?? []) {
      thread.pausedUntilMs = scheduler.nowMs + ms;
    }
  }

  promote(node: string, aloneMs: number): void {
    if (!this.copy(node).promotable) throw new Broken('scenario', 'it may not be promoted');
    this.#faults?.promoteCopy(this.copy(node), aloneMs);
    this.run(50);
  }

  heal(): void {
    const { world } = this;
    for (const node of world.nodes) node.deafUntilMs = 0;
    world.heal();
    for (const node of world.nodes) world.revive(node);
    world.hearAll();
    const { scheduler } = world;
    scheduler.runUntil(scheduler.nowMs + settleMsMax, () => world.settled());
    const unsettled = world.unsettled();
    if (unsettled !== null) throw new Broken('settles', unsettled);
    world.judgeAtRest();
  }
}
