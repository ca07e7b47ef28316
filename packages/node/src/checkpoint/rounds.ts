/** When the copies of a node are saved: one after the other, every so often, within a rate; and once more at the end.
 *
 *  A copy that is as its file says is left alone, one that is not consistent and checked too: what is saved may lead one day. What the disk refuses is said, and
 *  tried again in the next round; the former checkpoint stays, and nobody is held up.
 *  Owner: the storage worker, which alone writes these files while it runs. */
import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { Pacer } from '@ingot/replication';
import type { Partition } from '@ingot/store';
import type { NodeLog } from '../process/log.ts';
import type { CheckpointStatus } from '../shared/messages.ts';
import { CheckpointFile, type CheckpointFolder, META_KEY } from './checkpoint-file.ts';
import { isDamage } from './lmdb-file.ts';
import { decodeMeta } from './checkpoint-meta.ts';
import { type DiskSpace, LowDisk, mustHaveRoom, whyTooSmall } from './disk-space.ts';
import { isCurrent, NotSaved, saveCheckpoint, saveEndOfLife, type SaveFigures } from './save.ts';
import { readSavedState, removeRemains, type SavedState } from './saved-state.ts';

const PACED_MS = 2;
/** So many saves of a copy in a row that came to nothing are said. */
const NOT_SAVED_MAX = 3;
/** Two versions of what changed are in a file while it is written. */
const BYTES_PER_CAPACITY = 2;

export interface RoundsOptions {
  readonly folder: CheckpointFolder;
  readonly clusterId: string;
  readonly node: string;
  readonly everyMs: number;
  readonly bytesPerSecond: number;
  readonly log: NodeLog;
  /** Of the disk below that path. */
  readonly space: (path: string) => DiskSpace;
  /** Unix ms. */
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  /** The file holds that copy up to `seq`, whose landings are these: said after each save, and where a round finds that
   *  there is nothing to save. */
  readonly saved: (partition: Partition, landings: number, seq: number) => void;
  /** After each round, and where one fails. */
  readonly tell: (status: CheckpointStatus) => void;
}

export class CheckpointRounds {
  readonly #options: RoundsOptions;
  readonly #copies = new Map<number, Partition>();
  /** What the files hold, as far as it is known. */
  readonly #states = new Map<number, SavedState>();
  readonly #pacer: Pacer;
  readonly #failing = new Map<number, string>();
  /** Why there is no folder to save into; null: there is one. */
  #folderFailing: string | null = null;
  /** Which partitions are held here; null once the files of others are removed. */
  #toKeep: (() => ReadonlySet<number>) | null = null;
  /** How often in a row a save of a copy came to nothing. */
  readonly #notSaved = new Map<number, number>();
  /** Files in which a save that came to nothing may have left something. */
  readonly #unclean = new Set<number>();
  readonly #figures = { saves: 0, failures: 0, chunks: 0, bytes: 0, seconds: 0 };
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #isEnding = false;

  constructor(options: RoundsOptions) {
    this.#options = options;
    const load = (): { receivedBytes: number; runs: number; waitedMs: number } => ({
      ...{ receivedBytes: 0, runs: 0, waitedMs: 0 },
    });
    this.#pacer = new Pacer({ rate: options.bytesPerSecond, load });
  }

  attach(partition: Partition): void {
    this.#copies.set(partition.id, partition);
  }

  /** `isHeld`: another copy of it is to come here, and may be compared with the file. */
  detach(id: number, isHeld: boolean): void {
    this.#copies.delete(id);
    this.#failing.delete(id);
    this.#notSaved.delete(id);
    const state = this.#states.get(id);
    if (state !== undefined) this.#states.set(id, { ...state, landings: null });
    if (isHeld) return;
    this.#inTurn(async () => {
      if (!this.#copies.has(id)) this.#remove(id);
    });
  }

  #remove(id: number): void {
    this.#states.delete(id);
    this.#options.folder.remove(id);
  }

  /** Removes the files of partitions that are not held here any more, once the folder can be read. */
  keepOnly(held: () => ReadonlySet<number>): void {
    this.#toKeep = held;
  }

  begin(): void {
    this.#inTurn(async () => {
      const copies = this.#hasFolder() ? this.#copies : [];
      for (const [id, partition] of copies) await this.#lookAt(id, partition);
      this.#tell();
      if (this.#folderFailing === null) this.#warnOfSmallDisk();
    });
    this.#schedule(this.#options.everyMs);
  }

  /** Somebody waits for checkpoints of these. */
  saveSoon(ids: readonly number[]): void {
    if (this.#isEnding) return;
    this.#inTurn(async () => {
      const due = this.#hasFolder() ? ids : [];
      for (const id of due) if (!this.#isEnding) await this.#trySave(id, 0);
      this.#tell();
    });
  }

  /** Saves everything once more, as fast as it goes: nobody writes any more. */
  async end(endedLife: number): Promise<void> {
    this.#isEnding = true;
    clearTimeout(this.#timer);
    await this.settled();
    if (endedLife > 0) await this.#saveAll(endedLife);
  }

  /** What was begun by now has come to its end. */
  async settled(): Promise<void> {
    await this.#round;
  }

  #schedule(afterMs: number): void {
    if (this.#isEnding) return;
    this.#timer = setTimeout(() => {
      const beganMs = this.#options.monotonicMs();
      this.#inTurn(async () => {
        try {
          await this.#saveAll(0);
        } finally {
          const tookMs = this.#options.monotonicMs() - beganMs;
          // The disk has as long for others as it had for this.
          this.#schedule(Math.max(this.#options.everyMs - tookMs, tookMs));
        }
      });
    }, afterMs);
  }

  /** Files are written by one round at a time. What the disk refuses beside saves is said, and left for the next start. */
  #inTurn(work: () => Promise<void>): void {
    this.#round = this.#round.then(work).catch((error: Error) => {
      const text = `in ${this.#options.folder.path}: ${error.message}`;
      this.#options.log('warn', 'checkpoint.diskRefused', { text });
    });
  }

  /** Makes the folder where it is missing, and looks through it once. One that the disk refuses is met again next time. */
  #hasFolder(): boolean {
    const { folder, log } = this.#options;
    try {
      folder.make();
      this.#removeOthers();
      this.#folderFailing = null;
      return true;
    } catch (error) {
      const why = (error as Error).message;
      this.#figures.failures++;
      const text =
        `no checkpoints are written, for their folder cannot be used (${why}); the node serves on: ` +
        `look at ${folder.path}, where a folder must be that the node may write to`;
      if (this.#folderFailing !== why) log('error', 'checkpoint.failed', { text });
      this.#folderFailing = why;
      return false;
    }
  }

  #warnOfSmallDisk(): void {
    const { folder, space, log } = this.#options;
    let bytes = 0;
    for (const [id, partition] of this.#copies) {
      const needs = BYTES_PER_CAPACITY * partition.stats().capacityBytes;
      bytes += Math.max(needs - folder.bytesOf(id), 0);
    }
    const why = whyTooSmall(space(folder.path), bytes);
    if (why === null) return;
    const text = `${why}: give ${folder.path} a larger disk, or lower the capacity`;
    log('warn', 'checkpoint.smallDisk', { text });
  }

  #mustHaveRoom(bytes: number): void {
    const { folder, space } = this.#options;
    mustHaveRoom(space(folder.path), bytes);
  }

  #removeOthers(): void {
    if (this.#toKeep === null) return;
    const held = this.#toKeep();
    for (const id of this.#options.folder.partitions()) {
      if (!held.has(id) && !this.#copies.has(id)) this.#remove(id);
    }
    this.#toKeep = null;
  }

  async #saveAll(endedLife: number): Promise<void> {
    if (!this.#hasFolder()) return this.#tell();
    const beganMs = this.#options.monotonicMs();
    const before = { ...this.#figures };
    for (const id of this.#copies.keys()) {
      if (this.#isEnding && endedLife === 0) return;
      await this.#trySave(id, endedLife);
    }
    const ms = this.#options.monotonicMs() - beganMs;
    this.#figures.seconds += ms / 1_000;
    const saves = this.#figures.saves - before.saves;
    const bytes = this.#figures.bytes - before.bytes;
    if (saves > 0)
      this.#options.log('info', 'checkpoint.saved', {
        ...{ partitions: saves, bytes, chunks: this.#figures.chunks - before.chunks },
        ms: Math.round(ms),
      });
    this.#tell();
  }

  async #trySave(id: number, endedLife: number): Promise<void> {
    try {
      const made = await this.#save(id, endedLife);
      if (made === null) return;
      this.#states.set(id, made.state);
      this.#figures.saves++;
      this.#figures.chunks += made.chunks;
      this.#figures.bytes += made.bytes;
      if (this.#failing.delete(id))
        this.#options.log('info', 'checkpoint.goesOn', { partition: id });
      this.#unclean.delete(id);
      this.#notSaved.delete(id);
    } catch (error) {
      this.#unclean.add(id);
      if (error instanceof NotSaved) this.#cameToNothing(id, error.message);
      else this.#failed(id, error as Error);
    }
  }

  /** What the file of a copy holds, before anything is saved; one that cannot be read is met again by the save. */
  async #lookAt(id: number, { geometry }: Partition): Promise<void> {
    const { folder, clusterId, node } = this.#options;
    if (folder.bytesOf(id) === 0) return;
    let file: CheckpointFile | null = null;
    try {
      file = new CheckpointFile(folder.fileOf(id), null);
      const saved = readSavedState(file, { clusterId, node, partition: id, geometry });
      if (typeof saved === 'string') return;
      this.#states.set(id, saved);
      this.#unclean.add(id);
    } catch {
      // See above.
    } finally {
      await file?.close();
    }
  }

  /** null: there is nothing to save. */
  async #save(id: number, endedLife: number): Promise<SaveFigures | null> {
    const partition = this.#copies.get(id);
    if (partition?.consistent() !== true || !partition.checked()) return null;
    const known = this.#states.get(id);
    const landings = partition.landings();
    if (known !== undefined && isCurrent(partition, known) && this.#isThere(id)) {
      if (landings === partition.landings() && partition.consistent()) {
        this.#options.saved(partition, landings, known.meta.seq);
      }
      if (endedLife === 0 || known.meta.endedLife === endedLife) return null;
    } else this.#mustHaveRoom(0);
    const { clusterId, node, nowMs } = this.#options;
    const owner = { clusterId, node, partition: id, geometry: partition.geometry };
    const { file, saved } = await this.#open(id, partition, known, owner);
    try {
      if (saved !== null && (saved !== known || this.#unclean.has(id))) {
        removeRemains(file, saved);
      }
      if (saved !== null && endedLife > 0 && isCurrent(partition, saved)) {
        return saveEndOfLife({ file, endedLife }, saved);
      }
      const pause = (bytes: number): Promise<void> => this.#pause(bytes);
      const made = await saveCheckpoint({
        ...{ partition, owner, file, saved, endedLife, nowMs, pause },
        mayWrite: (bytes) => this.#mustHaveRoom(bytes),
      });
      if (!this.#isThere(id)) throw new Error('its file was removed while it was written');
      this.#options.saved(partition, made.landings, made.state.meta.seq);
      return made;
    } finally {
      await file.close();
    }
  }

  #isThere(id: number): boolean {
    return this.#options.folder.bytesOf(id) > 0;
  }

  /** The file, and what it holds: what is known of it, where it says the same itself. Anybody may have removed it, or put
   *  another in its place, and what is saved into it is nothing without the rest. One that is damaged, or of another, is begun anew; what cannot be read for another reason
   *  (the disk, too many files) is left as it is, and thrown. */
  async #open(
    id: number,
    { geometry }: Partition,
    known: SavedState | undefined,
    owner: Parameters<typeof readSavedState>[1],
  ): Promise<{ file: CheckpointFile; saved: SavedState | null }> {
    const { folder } = this.#options;
    const path = folder.fileOf(id);
    const wasThere = this.#isThere(id);
    let file: CheckpointFile | null = null;
    let why: string;
    try {
      file = new CheckpointFile(path, geometry.imageBytes);
      const saved = isOf(file, known) ? known : readSavedState(file, owner);
      if (typeof saved !== 'string') return { file, saved };
      why = saved;
    } catch (error) {
      await file?.close();
      if (!isDamage(error)) throw error;
      why = (error as Error).message;
      file = null;
    }
    await file?.close();
    const isGone = !wasThere && known !== undefined;
    if (isGone) why = 'its file is not there any more';
    if (wasThere || isGone) {
      this.#options.log('info', 'checkpoint.replaced', { partition: id, why });
    }
    folder.remove(id);
    return { file: new CheckpointFile(path, geometry.imageBytes), saved: null };
  }

  async #pause(bytes: number): Promise<void> {
    if (this.#isEnding) return await setImmediate();
    this.#pacer.spend(bytes);
    do {
      if (this.#pacer.allows(this.#options.monotonicMs())) await setImmediate();
      else await delay(PACED_MS);
    } while (!this.#isEnding && !this.#pacer.allows(this.#options.monotonicMs()));
  }

  #cameToNothing(id: number, why: string): void {
    const { log } = this.#options;
    const times = (this.#notSaved.get(id) ?? 0) + 1;
    this.#notSaved.set(id, times);
    log('debug', 'checkpoint.notSaved', { partition: id, why });
    if (times < NOT_SAVED_MAX) return;
    this.#failing.set(id, why);
    if (times > NOT_SAVED_MAX) return;
    const text =
      `the last ${times} saves of partition ${id} came to nothing (${why}); its former checkpoint stays: ` +
      'raise --checkpoint-rate where the disk can do more';
    log('warn', 'checkpoint.late', { partition: id, text });
  }

  #failed(id: number, error: Error): void {
    this.#figures.failures++;
    const { folder, log } = this.#options;
    const isLow = error instanceof LowDisk;
    // How much is free differs each time, and is the same for all.
    const why = isLow ? 'low disk' : error.message;
    // A file that is not as it was left: the next round looks at it anew, or begins anew.
    if (!isLow) this.#states.delete(id);
    if (isDamage(error)) this.#inTurn(async () => this.#remove(id));
    const isSaid = isLow
      ? [...this.#failing.values()].includes(why)
      : this.#failing.get(id) === why;
    this.#failing.set(id, why);
    if (isSaid) return;
    const text = isLow
      ? `no checkpoints are written (${error.message}); the node serves on, and the former ones stay: ` +
        `free some of the disk of ${folder.path}, or give it a larger one`
      : `the checkpoint of partition ${id} was not written (${why}); the node serves on, ` +
        `and the former checkpoint stays: look at the disk of ${folder.path}`;
    log('error', 'checkpoint.failed', { partition: id, text });
    this.#tell();
  }

  #tell(): void {
    const savedAtMs = [...this.#copies.keys()].map(
      (id) => this.#states.get(id)?.meta.savedAtMs ?? 0,
    );
    this.#options.tell({
      ...this.#figures,
      failing: this.#folderFailing === null ? this.#failing.size : savedAtMs.length,
      partitions: savedAtMs.length,
      /** 0: there is one of which there is no checkpoint yet. */
      oldestSavedAtMs: savedAtMs.length === 0 ? 0 : Math.min(...savedAtMs),
    });
  }
}

/** Whether the file says of itself what is known of it. */
function isOf(file: CheckpointFile, known: SavedState | undefined): known is SavedState {
  if (known === undefined) return false;
  const bytes = file.get(META_KEY);
  return bytes !== null && isDeepStrictEqual(decodeMeta(bytes), known.meta);
}
