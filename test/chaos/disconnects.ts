/** Cuts the connections between two real nodes at random bytes, under writes, and looks after every round whether
 *  the copies are equal again.
 *
 *  A round: on each partition's connection faults are armed, one or several in a row, each at a random byte of
 *  what comes; sometimes the link then stays away until the writers have lapped the ring, and sometimes what
 *  follows is cut again in the middle. Then all copies must come back, acknowledge what was written by then, and
 *  answer CHECK markers over every chunk in use without a difference, while writes go on.
 *  The seed decides what is done; when the kernel delivers which byte it cannot decide. */
import type { ControlClient } from '../../packages/node/src/control/control-client.ts';
import { frameName } from '../../packages/replication/src/frame.ts';
import { Random } from '../../packages/replication/src/random.fixture.ts';
import { numbers } from '../support/dataset.ts';
import { eventually, Hopeless, within } from '../support/eventually.ts';
import {
  BEFORE_HELLO,
  cutAfter,
  flipAfter,
  type CutHow,
  type Direction,
  type Strike,
} from '../support/faults.ts';
import type { LogLine, TestNode } from '../support/local-cluster.ts';
import { LinkedPair } from '../sync/linked-pair.ts';
import { SteadyLoad } from './steady-load.ts';

export interface Plan {
  readonly disconnects: number;
  readonly seed: number;
  /** Of the cluster; null for none. */
  readonly secret: string | null;
  /** Some places are not cut, but have a bit flipped: then chunks do differ, and must be repaired. */
  readonly flips: boolean;
  readonly print: (line: string) => void;
}

export interface Report {
  readonly partitions: number;
  readonly disconnects: number;
  readonly rounds: number;
  readonly writes: number;
  readonly writesRefused: number;
  readonly writesUnknown: number;
  readonly chunksChecked: number;
  readonly fullSyncs: number;
  readonly partialSyncs: number;
  readonly checksFailed: number;
  readonly repairs: number;
  readonly brokenFrames: number;
  /** Where connections were cut: what of which frame. */
  readonly places: Readonly<Record<string, number>>;
  /** What primaries said their syncs were: kind and reason. */
  readonly syncs: Readonly<Record<string, number>>;
  /** Keys that do not read as acknowledged, at the client port and from the copies. */
  readonly lost: readonly string[];
}

interface Cut {
  /** Before HELLO has said which partition it is about: of whichever connection comes next. */
  readonly early: boolean;
  readonly direction: Direction;
  readonly bytes: number;
  readonly how: CutHow | 'flip';
}

interface Round {
  /** Per partition, in order. */
  readonly cuts: readonly (readonly Cut[])[];
  readonly delayMs: number;
  /** The node whose link stays away until the ring is lapped; 0 = none. */
  readonly away: number;
  /** What comes after that is cut too. */
  readonly cutsCatchUp: readonly Cut[];
}

const PARTITIONS = 4;
const KEYS = 3_000;
/** Of a partition of this size, with `--value-max 1mb`. */
const RING_BYTES = 2 << 20;
const DOWN_BYTES_MAX = 1 << 18;
const CATCH_UP_BYTES_MAX = 1 << 21;
/** Acknowledgements are small, and so is a HELLO. */
const UP_BYTES_MAX = 2_000;
/** What passes each way for sure before HELLO names a partition: with a secret, and without. */
const PROOF_BYTES = 144;
const HELLO_BYTES_MIN = 48;
/** Only tell a hang from a machine that is busy with other things. */
const STRIKE_WITHIN_MS = 120_000;
const HEAL_WITHIN_MS = 120_000;
const POLL_MS = 20;
const ROUNDS_PER_LINE = 10;

export async function runDisconnects(plan: Plan): Promise<Report> {
  const pair = await LinkedPair.first(
    {
      capacity: '32mb',
      partitions: PARTITIONS,
      foundArgs: ['--capacity-max', '32mb', '--value-max', '1mb'],
      ...(plan.secret === null ? {} : { secret: plan.secret }),
    },
    { frames: true },
  );
  try {
    pair.cluster.node(2).launch();
    await pair.cluster.settled();
    const chaos = new Disconnects(pair, plan);
    return await chaos.run();
  } finally {
    await pair.stop();
  }
}

class Disconnects {
  readonly #pair: LinkedPair;
  readonly #plan: Plan;
  readonly #random: Random;
  readonly #strikes: Strike[] = [];
  readonly #client: ControlClient;
  #chunksChecked = 0;
  #rounds = 0;

  constructor(pair: LinkedPair, plan: Plan) {
    this.#pair = pair;
    this.#plan = plan;
    this.#random = new Random(plan.seed);
    this.#client = pair.cluster.control(pair.cluster.node(1));
  }

  async run(): Promise<Report> {
    const { cluster } = this.#pair;
    const { disconnects, print } = this.#plan;
    const { client } = cluster.node(1).ports;
    const load = await SteadyLoad.start({ name: 'chaos', port: client, keys: KEYS }, this.#random);
    try {
      while (this.#strikes.length < disconnects || !this.#cutsWereEverywhere) {
        await this.#round(this.#nextRound(), load);
        if (++this.#rounds % ROUNDS_PER_LINE === 0) {
          print(`${this.#strikes.length} of ${disconnects} disconnects, ${load.writes} writes`);
        }
      }
      await load.stop();
      await cluster.replicated();
      await this.#verified();
      return await this.#report(load);
    } finally {
      load.close();
      this.#client.close();
    }
  }

  /** Redo and chunks alike have been cut: what is cut when is for the kernel to say, too. */
  get #cutsWereEverywhere(): boolean {
    const places = new Set(this.#strikes.map(placeOf));
    return places.has('CHUNK payload') && places.has('REDO payload');
  }

  #nextRound(): Round {
    const random = this.#random;
    return {
      cuts: numbers(PARTITIONS).map(() => [
        this.#cut(),
        ...numbers(random.below(2)).map(() => this.#nextCut()),
      ]),
      delayMs: random.chance(0.3) ? 1 + random.below(4) : 0,
      away: random.chance(0.35) ? 1 + random.below(2) : 0,
      cutsCatchUp: numbers(1 + random.below(2)).map(() => ({
        ...this.#cut(),
        direction: 'down' as const,
        bytes: this.#logUniform(CATCH_UP_BYTES_MAX),
      })),
    };
  }

  #cut(): Cut {
    const random = this.#random;
    const direction = random.chance(0.75) ? 'down' : 'up';
    const bytes =
      direction === 'down' ? this.#logUniform(DOWN_BYTES_MAX) : 1 + random.below(UP_BYTES_MAX);
    const how = (['reset', 'close', 'halfClose', 'flip'] as const)[
      random.below(this.#plan.flips ? 4 : 3)
    ];
    return { early: false, direction, bytes, how };
  }

  /** Of the connection that is made again. */
  #nextCut(): Cut {
    const cut = this.#cut();
    const isProved = this.#plan.secret !== null;
    if (!this.#random.chance(0.4)) return cut;
    const direction = isProved ? cut.direction : 'up';
    const bytes = 1 + this.#random.below(isProved ? PROOF_BYTES : HELLO_BYTES_MIN);
    return { ...cut, early: true, direction, bytes };
  }

  /** Half of all are below the root of the largest: small places are as likely as large ones. */
  #logUniform(max: number): number {
    return Math.ceil(max ** this.#random.next());
  }

  async #round(round: Round, load: SteadyLoad): Promise<void> {
    const leads = await this.#leads();
    for (const link of this.#pair.links) link.delayMs = round.delayMs;
    await Promise.all(
      round.cuts.map((cuts, partition) => this.#strike(leads[partition], partition, cuts, load)),
    );
    if (round.away !== 0) await this.#lap(round, leads, load);
    await this.#healed();
    await this.#verified();
    await load.alive();
  }

  /** The node that leads each partition. */
  async #leads(): Promise<number[]> {
    const { cluster } = this.#pair;
    const { partitions } = await cluster.view();
    return partitions.map(({ primary }) => 1 + cluster.nodes.findIndex(({ id }) => id === primary));
  }

  /** One after the other: the next is armed as soon as the one before it has struck. */
  async #strike(
    node: number,
    partition: number,
    cuts: readonly Cut[],
    load: SteadyLoad,
  ): Promise<void> {
    for (const { early, bytes, direction, how } of cuts) {
      const where = early ? BEFORE_HELLO : partition;
      const fault = this.#pair
        .linkOf(node)
        .arm(
          how === 'flip'
            ? flipAfter(bytes, direction, where)
            : cutAfter(bytes, direction, how, where),
        );
      const claim = `${how} ${direction} of partition ${partition} after ${bytes} bytes`;
      this.#strikes.push(await within(claim, STRIKE_WITHIN_MS, fault.struck));
      await load.alive();
    }
  }

  async #lap({ away, cutsCatchUp }: Round, leads: number[], load: SteadyLoad): Promise<void> {
    const link = this.#pair.linkOf(away);
    link.cut();
    const enough = load.bytesWritten + 1.2 * PARTITIONS * RING_BYTES;
    await eventually(
      'the writers lap the ring',
      async () => {
        await load.alive();
        return load.bytesWritten > enough;
      },
      { withinMs: HEAL_WITHIN_MS },
    );
    const partition = leads.indexOf(away);
    const striking = this.#strike(away, partition, cutsCatchUp, load);
    link.heal();
    await striking;
  }

  /** Every copy streams, and has what was written when we began to wait. */
  async #healed(): Promise<void> {
    const { cluster } = this.#pair;
    const written = await eventually('every primary says what is written', async () => {
      const seqs = (await cluster.view()).partitions.map(({ seq }) => seq ?? -1);
      return seqs.includes(-1) ? null : seqs;
    });
    await eventually(
      'every copy is back',
      async () => {
        const view = await cluster.view();
        for (const { id, followers } of view.partitions) {
          const [{ state, seq }] = followers;
          if (state !== 'streaming' || (seq ?? 0) < written[id]) {
            throw new Error(`partition ${id}: ${state} at ${seq}, wanted ${written[id]}`);
          }
        }
        return true;
      },
      { withinMs: HEAL_WITHIN_MS, everyMs: POLL_MS },
    );
  }

  /** CHECK markers over all chunks in use of all copies. */
  async #verified(): Promise<void> {
    await eventually(
      'every chunk of every copy is compared',
      async () => {
        let chunksChecked = 0;
        for await (const { found } of this.#client.verify([])) {
          const [difference] = found.differences;
          if (difference !== undefined) throw new Hopeless(JSON.stringify(difference));
          const [missing] = found.notChecked;
          if (missing !== undefined) throw new Error(JSON.stringify(missing));
          chunksChecked += found.chunksChecked;
        }
        this.#chunksChecked += chunksChecked;
        return chunksChecked > 0;
      },
      { withinMs: HEAL_WITHIN_MS, everyMs: POLL_MS },
    );
  }

  async #report(load: SteadyLoad): Promise<Report> {
    const { cluster } = this.#pair;
    const lost = await load.differences(cluster.node(1).ports.client);
    for (const { ports } of cluster.nodes) {
      lost.push(...(await load.differences(ports.follower, { readOnly: true })));
    }
    return {
      partitions: PARTITIONS,
      disconnects: this.#strikes.length,
      rounds: this.#rounds,
      writes: load.writes,
      writesRefused: load.refused,
      writesUnknown: load.unknown,
      chunksChecked: this.#chunksChecked,
      fullSyncs: await cluster.sum('ingot_full_syncs_total'),
      partialSyncs: await cluster.sum('ingot_partial_syncs_total'),
      checksFailed: await cluster.sum('ingot_checks_failed_total'),
      repairs: await cluster.sum('ingot_repairs_total'),
      brokenFrames: await cluster.sum('ingot_broken_frames_total'),
      places: tally(this.#strikes.map(placeOf)),
      syncs: tally(cluster.nodes.flatMap(syncsSent)),
      lost,
    };
  }
}

function placeOf({ effect, part, partition }: Strike): string {
  if (effect.kind === 'flip') return `flipped: ${frameName(part.type)} ${part.kind}`;
  if (part.kind === 'preamble') return 'preamble';
  const place = `${frameName(part.type)} ${part.kind}`;
  return partition === BEFORE_HELLO ? `${place}, before HELLO` : place;
}

/** The primary's side of every sync says whom it serves; the follower's says whom it has it from. */
function syncsSent(node: TestNode): string[] {
  const isSent = (line: LogLine): boolean =>
    line.event === 'syncStarted' && line['primary'] === undefined;
  return node.log
    .filter(isSent)
    .map((line) => `${String(line['kind'])}: ${String(line['reason'])}`);
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words.toSorted()) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
