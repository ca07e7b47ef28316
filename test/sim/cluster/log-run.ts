/** The redo log of one node alone: the product's writer and its reading back, over real copies and a simulated disk.
 *  Clients write, alone and in transactions; checkpoints are taken, or come to nothing; other primaries write over a copy by
 *  bulk; the disk is full for a while; and the machine goes down, mostly in the middle of a commit. After each
 *  start every copy must be what its history was at its seq, and nothing that was said to be on disk may be missing. */
import {
  attachPartition,
  createPartition,
  hashKey,
  type HistoryEntry,
  type Partition,
  ROLE_FOLLOWER,
  ROLE_NONE,
} from '@ingot/store';
import { Random } from '../../../packages/replication/src/random.fixture.ts';
import { LogBoard } from '../../../packages/node/src/redo-log/log-board.ts';
import { type LogEnd, LogReplay, readLog } from '../../../packages/node/src/redo-log/log-replay.ts';
import {
  type LogStart,
  LogWriter,
  type RecoveredCopy,
} from '../../../packages/node/src/redo-log/log-writer.ts';
import { smallGeometry } from '../geometry.ts';
import { Broken, Trace } from '../trace.ts';
import { LogDisk } from './log-disk.ts';

const partitions = 2;
const keys = 12;
const stepsPerMinute = 600;
const stepMs = 100;
const geometry = smallGeometry(partitions, 131_072);
const owner = { clusterId: 'c', node: 'a', geometry };

type State = ReadonlyMap<string, string>;

/** What was written in one epoch, on top of what was there before. */
interface Era {
  readonly base: State;
  readonly writes: { readonly seq: number; readonly key: string; readonly value: string }[];
}

interface Checkpoint {
  readonly image: Buffer;
  readonly seq: number;
  readonly generation: number;
}

interface Copy {
  partition: Partition;
  epoch: number;
  checkpoint: Checkpoint | null;
  readonly eras: Map<number, Era>;
  /** What clients were told to be on disk; null: nothing. */
  told: { readonly epoch: number; readonly seq: number } | null;
  /** How often this life was given a copy of it. */
  given: number;
}

export class LogRun {
  readonly world: {
    readonly trace: Trace;
    elapsedMs: number;
    readonly scheduler: { eventCount: number };
  };
  readonly #random: Random;
  readonly #disk: LogDisk;
  readonly #copies: Copy[] = [];
  #board = LogBoard.create(partitions);
  #writer!: LogWriter;
  #life = 0;
  #nowMs = 0;
  #news: { readonly at: number; readonly tell: () => void }[] = [];

  constructor(seed: number, print: ((line: string) => void) | null) {
    const trace = new Trace(print);
    this.world = { trace, elapsedMs: 0, scheduler: { eventCount: 0 } };
    this.#random = new Random(seed);
    this.#disk = new LogDisk(this.#random);
    for (let id = 0; id < partitions; id++) {
      const partition = newCopy(id);
      const copy = { partition, epoch: 0, checkpoint: null, eras: new Map(), told: null, given: 0 };
      this.#copies.push(copy);
      this.#promote(copy, new Map());
    }
    this.#boot({ cutAt: null, bytes: 0, copies: [] });
  }

  async run(simulatedMs: number): Promise<void> {
    const steps = Math.ceil((simulatedMs / 60_000) * stepsPerMinute);
    for (let i = 0; i < steps; i++) {
      this.world.elapsedMs += stepMs;
      this.#nowMs += stepMs;
      this.world.scheduler.eventCount++;
      this.#step();
      this.#tellNews();
    }
  }

  #step(): void {
    const random = this.#random;
    const copy = this.#copies[random.below(partitions)];
    const dice = random.next();
    if (dice < 0.5) this.#write(copy);
    else if (dice < 0.85) this.#log();
    else if (dice < 0.91) this.#save(copy);
    else if (dice < 0.93) this.#beBulked(copy);
    else if (dice < 0.955) this.#disk.isFull = random.chance(0.5);
    else if (dice < 0.96) this.#beginAnew(copy);
    else if (dice < 0.98) for (let i = 0; i < 12; i++) this.#write(copy);
    else this.#crash();
  }

  // ------------------------------------------------------------ what happens

  #write({ partition, eras, epoch }: Copy): void {
    const random = this.#random;
    const count = random.chance(0.2) ? 1 + random.below(6) : 1;
    partition.enter();
    if (count > 1) partition.beginTransaction();
    for (let i = 0; i < count; i++) {
      const key = `k${random.below(keys)}`;
      const bytes = random.chance(0.2) ? random.below(12_000) : random.below(90);
      const value = `${random.below(1_000_000)}:`.padEnd(bytes, 'x');
      const name = Buffer.from(key);
      const stored = Buffer.from(value);
      const hash = hashKey(name, 0, name.length);
      partition.set(hash, name, 0, name.length, stored, 0, stored.length, 0, this.#nowMs);
      eras.get(epoch)?.writes.push({ seq: partition.committedSeq(), key, value });
    }
    if (count > 1) partition.endTransaction();
    partition.leave();
    this.world.trace.count('writes', count);
  }

  #log(): void {
    if (this.#random.chance(0.05)) this.#disk.crashes = true;
    while (this.#writer.step()) this.world.trace.count('groups');
    if (this.#disk.crashes) this.#crash();
    this.#hear();
  }

  /** Clients who wait are told. */
  #hear(): void {
    for (const copy of this.#copies) {
      const { id } = copy.partition;
      const seq = copy.partition.committedSeq();
      if (!this.#board.has(id, copy.epoch, seq)) continue;
      copy.told = { epoch: copy.epoch, seq };
      this.#note(`told ${id} up to ${seq} of epoch ${copy.epoch}`);
      this.world.trace.count('told');
    }
  }

  #save(copy: Copy): void {
    if (this.#random.chance(0.2)) return;
    const { partition, given } = copy;
    copy.checkpoint = checkpointOf(partition);
    const { seq } = copy.checkpoint;
    const landings = partition.landings();
    this.#note(`${partition.id} is saved up to ${seq}`);
    const writer = this.#writer;
    // The news of it may be late, or lost with the machine.
    const later = this.#random.chance(0.5) ? 0 : this.#random.below(60);
    this.#news.push({
      at: this.#nowMs + later * stepMs,
      tell: () => {
        if (writer === this.#writer) writer.saved(partition.id, given, landings, seq);
      },
    });
    this.world.trace.count('checkpoints');
  }

  #note(what: string): void {
    this.world.trace.note(this.world.elapsedMs, what);
  }

  #tellNews(): void {
    const due = this.#news.filter(({ at }) => at <= this.#nowMs);
    this.#news = this.#news.filter(({ at }) => at > this.#nowMs);
    for (const { tell } of due) tell();
    if (due.length > 0) this.#hear();
  }

  /** Another node led from the checkpoint on, or from nothing, and what it has is written over the copy. */
  #beBulked(copy: Copy): void {
    const { partition, checkpoint, eras } = copy;
    const other: Copy = { ...copy, partition: newCopy(partition.id) };
    let base: State = new Map();
    if (checkpoint !== null) {
      load(other.partition, checkpoint);
      base = this.#truth(copy, other.partition);
    }
    this.#promote(other, base);
    for (let i = this.#random.below(8); i > 0; i--) this.#write(other);
    partition.setRole(ROLE_FOLLOWER, other.epoch);
    const taken = checkpointOf(other.partition);
    partition.beginBulk(taken.seq);
    if (this.#random.chance(0.3)) this.#log();
    if (partition !== copy.partition) return; // it crashed meanwhile
    load(partition, taken);
    copy.epoch = other.epoch;
    // Of what was logged before, a failover may take back everything.
    copy.told = null;
    if (this.#random.chance(0.5)) this.#log();
    if (partition !== copy.partition) return;
    this.#promote(copy, this.#truth({ ...copy, eras }, partition));
    this.#note(`${partition.id} was bulked, leads epoch ${copy.epoch}`);
    this.world.trace.count('bulks');
  }

  /** Every copy was lost: it is led again, empty. */
  #beginAnew(copy: Copy): void {
    const { id } = copy.partition;
    this.#writer.detach(id);
    copy.partition = newCopy(id);
    copy.told = null;
    this.#promote(copy, new Map());
    copy.given++;
    this.#writer.attach(copy.partition);
    this.#note(`${id} begins anew, leads epoch ${copy.epoch}`);
    this.world.trace.count('copies that began anew');
  }

  #crash(): void {
    this.#note(`crash, ${this.#disk.kept} groups`);
    this.#disk.crashes = false;
    const isDamaged = this.#random.chance(0.04) && this.#disk.damage();
    if (isDamaged) this.world.trace.count('logs damaged');
    if (this.#disk.isTorn) this.world.trace.count('groups torn');
    this.#disk.isTorn = false;
    this.world.trace.count('crashes');
    this.#recover(isDamaged);
  }

  // ------------------------------------------------------------ starts

  #recover(isDamaged: boolean): void {
    const replays = this.#copies.map(({ partition: { id }, checkpoint }) => {
      const replay = new LogReplay(newCopy(id));
      if (checkpoint === null) replay.beginEmpty();
      else load(replay.partition, checkpoint);
      return replay;
    });
    const { cut, bytes } = this.#replay(replays);
    if (cut !== null) {
      this.#note(`cut at ${cut.at}: ${cut.why}`);
      this.world.trace.count('logs cut');
    }
    const copies: RecoveredCopy[] = [];
    for (const [id, { partition, broken, gap }] of replays.entries()) {
      const copy = this.#copies[id];
      if (broken !== null) throw new Broken('equal', `partition ${id}: ${broken}`);
      if (gap !== null) this.world.trace.count('gaps');
      const seq = partition.committedSeq();
      this.#note(`${id} comes back at ${seq} of ${partition.history().at(-1)?.epoch}, ${gap}`);
      this.#judge(copy, partition, isDamaged);
      if (seq > 0) copies.push({ partition: id, seq, landings: partition.landings() });
      const truth = this.#truth(copy, partition);
      copy.partition = partition;
      copy.told = null;
      this.#promote(copy, truth);
    }
    this.#boot({ cutAt: cut?.at ?? null, bytes, copies });
  }

  #replay(replays: readonly LogReplay[]): LogEnd {
    try {
      const groups = readLog(this.#disk, owner);
      for (;;) {
        const step = groups.next();
        if (step.done === true) return step.value;
        const { entries, clockMs } = step.value;
        for (const entry of entries) replays[entry.partition].take(entry, clockMs);
      }
    } catch (error) {
      throw new Broken('invariant', `the log cannot be read: ${(error as Error).message}`);
    }
  }

  #judge(copy: Copy, partition: Partition, isDamaged: boolean): void {
    const { id } = partition;
    const truth = this.#truth(copy, partition);
    for (let i = 0; i < keys; i++) {
      const [is, due] = [read(partition, `k${i}`, this.#nowMs), truth.get(`k${i}`) ?? null];
      if (is === due) continue;
      const at = `partition ${id} at seq ${partition.committedSeq()}`;
      throw new Broken('equal', `${at} has k${i} = ${is?.slice(0, 12)}, not ${due?.slice(0, 12)}`);
    }
    const { told } = copy;
    if (told === null || isDamaged) return;
    if (holds(partition.history(), partition.committedSeq(), told)) return;
    const where = `seq ${partition.committedSeq()} of epoch ${partition.history().at(-1)?.epoch}`;
    throw new Broken(
      'logged',
      `partition ${id} is at ${where}, told was seq ${told.seq} of epoch ${told.epoch}`,
    );
  }

  /** What the copy must hold. */
  #truth({ eras }: Copy, partition: Partition): State {
    const last = partition.history().at(-1);
    const era = last === undefined ? undefined : eras.get(last.epoch);
    const state = new Map(era?.base);
    const seq = partition.committedSeq();
    for (const write of era?.writes ?? []) if (write.seq <= seq) state.set(write.key, write.value);
    return state;
  }

  #promote(copy: Copy, base: State): void {
    copy.epoch = 1 + Math.max(copy.epoch, ...copy.eras.keys());
    copy.partition.promote(copy.epoch, this.#nowMs);
    copy.eras.set(copy.epoch, { base, writes: [] });
  }

  #boot(start: LogStart): void {
    this.#life++;
    this.#board = LogBoard.create(partitions);
    this.#disk.isFull = this.#random.chance(0.1);
    this.#writer = new LogWriter({
      board: this.#board,
      owner,
      life: () => this.#life,
      bytesMax: 1_048_576,
      open: () => this.#disk,
      start,
      nowMs: () => this.#nowMs,
      monotonicMs: () => this.#nowMs,
      wantSaves: (ids) => this.world.trace.count('saves asked for', ids.length),
      failing: () => this.world.trace.count('changes of state'),
    });
    for (const copy of this.#copies) {
      copy.given = 1;
      this.#writer.attach(copy.partition);
    }
    this.#writer.begin();
  }
}

function newCopy(id: number): Partition {
  return attachPartition(createPartition(geometry, id));
}

function checkpointOf(partition: Partition): Checkpoint {
  return {
    image: Buffer.from(partition.imageBuffer),
    seq: partition.committedSeq(),
    generation: Math.max(0, ...partition.stamps),
  };
}

function load(partition: Partition, { image, seq, generation }: Checkpoint): void {
  partition.setRole(ROLE_FOLLOWER, partition.epoch());
  partition.beginBulk(seq);
  image.copy(partition.imageBuffer);
  const broken = partition.becomeConsistent(generation);
  partition.setChecked(true);
  partition.setRole(ROLE_NONE, partition.epoch());
  if (broken !== null) throw new Broken('equal', broken);
}

function read(partition: Partition, key: string, nowMs: number): string | null {
  const name = Buffer.from(key);
  const ref = partition.find(hashKey(name, 0, name.length), name, 0, name.length, nowMs);
  if (ref === 0) return null;
  const value = Buffer.alloc(partition.valueBytes(ref));
  partition.copyValue(ref, 0, value.length, value, 0);
  return value.toString();
}

/** Whether a copy with that history has the mutation. */
function holds(
  history: readonly HistoryEntry[],
  seq: number,
  told: { epoch: number; seq: number },
): boolean {
  const at = history.findIndex(({ epoch }) => epoch === told.epoch);
  if (at < 0 || seq < told.seq) return false;
  return at === history.length - 1 || history[at + 1].startSeq > told.seq;
}
