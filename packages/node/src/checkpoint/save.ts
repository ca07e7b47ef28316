/** Brings the checkpoint of one partition up to the copy that is here: all of it by one last transaction, see staged.ts.
 *
 *  The checkpoint is a follower that writes to disk: what it holds is compared with the copy by the two histories and
 *  the stamps, as at HELLO; what changed is copied while writers go on; and the redo from before the first look at a
 *  stamp up to after the last byte makes the chunks exact.
 *
 *      position  seq, generation, ring head, under an even gate, before any stamp
 *      copy      the chosen chunks, redo in between so that the ring does not lap us
 *      end       committed, under an even gate, after the last byte: redo up to there at least
 *      table     stamps, read after that; none from the future of the checkpoint
 *
 *  Where the ring laps us the chunks that changed since the position are copied again, with redo from a new one.
 *  Chunks that came in other than by redo (a bulk after a difference was found) may be older by their stamps than what
 *  they replace: where any did, all are compared by their checksums.
 *  Invariants: nothing is saved of a copy that is not consistent, or into which chunks landed meanwhile; chunk bytes
 *  are checksummed as they were written, not as they are by then. Owner: the storage worker. */
import { changedChunks, decideResync, selectChunks } from '@ingot/replication';
import { CHUNK_BYTES, newStableView, type Partition, type StableView } from '@ingot/store';
import {
  type CheckpointFile,
  chunkKey,
  META_KEY,
  otherSlot,
  redoKey,
  type Slot,
  TABLE_KEY,
} from './checkpoint-file.ts';
import {
  CHECKPOINT_VERSION,
  type CheckpointMeta,
  type CheckpointOwner,
  encodeMeta,
  ownersWords,
} from './checkpoint-meta.ts';
import { CheckpointTable } from './checkpoint-table.ts';
import { RedoTail } from './redo-tail.ts';
import type { SavedState } from './saved-state.ts';
import { Staged } from './staged.ts';
import { crc32 } from 'node:zlib';

const PASSES_MAX = 5;
const CHUNKS_PER_BATCH = 4;
/** Looked at in one go, about 1 ms. */
const CHUNKS_PER_LOOK = 64;
/** More redo than this belongs to chunks that are better copied again. */
const REDO_BYTES_MIN = 16_777_216;

export interface SaveOptions {
  readonly partition: Partition;
  readonly owner: CheckpointOwner;
  readonly file: CheckpointFile;
  /** What the file holds; null: nothing that counts. */
  readonly saved: SavedState | null;
  /** The life that has ended with this save; 0: it goes on. */
  readonly endedLife: number;
  readonly nowMs: () => number;
  /** Called after so many bytes: other work of the thread goes on meanwhile. */
  readonly pause: (bytes: number) => Promise<void>;
  /** Throws where so many bytes are not to be written now: said before each transaction. */
  readonly mayWrite: (bytes: number) => void;
}

export interface SaveFigures {
  readonly state: SavedState;
  readonly chunks: number;
  readonly bytes: number;
}

export interface SavedCopyFigures extends SaveFigures {
  /** Of the copy, from before to behind the save. */
  readonly landings: number;
}

/** There is nothing to save at this moment, or what was begun came to nothing; the file is as it was. */
export class NotSaved extends Error {}

/** Whether the file holds the very copy that is here, as far as it is known to. */
export function isCurrent(partition: Partition, { meta, landings }: SavedState): boolean {
  const last = partition.history().at(-1);
  const saved = meta.history.at(-1);
  return (
    partition.committedSeq() === meta.seq &&
    partition.checked() === meta.checked &&
    partition.landings() === landings &&
    last?.epoch === saved?.epoch &&
    last?.startSeq === saved?.startSeq &&
    last?.generation === saved?.generation
  );
}

/** Rejects with NotSaved, or with what the disk says. */
export async function saveCheckpoint(options: SaveOptions): Promise<SavedCopyFigures> {
  return await new Save(options).run();
}

/** As `saveCheckpoint`, where only what the file says of the life has to change. */
export function saveEndOfLife(
  { file, endedLife }: Pick<SaveOptions, 'file' | 'endedLife'>,
  state: SavedState,
): SaveFigures {
  // What it holds may be in the slots of version 1, which version 2 reads alike.
  const meta = { ...state.meta, version: CHECKPOINT_VERSION, endedLife };
  const bytes = encodeMeta(meta);
  file.transact(() => file.put(META_KEY, bytes));
  return { state: { ...state, meta }, chunks: 0, bytes: bytes.length };
}

class Save {
  readonly #options: SaveOptions;
  readonly #partition: Partition;
  readonly #table: CheckpointTable;
  readonly #staged: Staged;
  readonly #redoSlot: Slot;
  readonly #view: StableView = newStableView();
  #landings = 0;
  #chunks = 0;
  #bytes = 0;
  #unpaid = 0;

  constructor(options: SaveOptions) {
    this.#options = options;
    this.#partition = options.partition;
    this.#table =
      options.saved?.table.clone() ?? new CheckpointTable(options.partition.geometry.chunkCount);
    this.#staged = new Staged(options.file, options.mayWrite);
    this.#redoSlot = otherSlot(options.saved?.meta.redoSlot ?? 0);
  }

  async run(): Promise<SavedCopyFigures> {
    await this.#look();
    this.#landings = this.#view.landings;
    this.#mustBeWhole();
    const meta = await this.#passes();
    this.#staged.end();
    const landings = this.#landings;
    return {
      state: { meta, table: this.#table, landings },
      ...{ landings, chunks: this.#chunks, bytes: this.#bytes },
    };
  }

  async #passes(): Promise<CheckpointMeta> {
    let select: () => Promise<readonly number[]> = () => this.#firstSelection();
    let pieces = 0;
    for (let pass = 0; pass < PASSES_MAX; pass++) {
      await this.#look();
      const start = { seq: this.#view.seq, generation: this.#view.generation };
      const redo = this.#redoFrom(this.#view);
      const end = await this.#copy(await select(), redo);
      this.#mustBeWhole();
      const { redoPieces } = redo.written;
      for (let piece = redoPieces; piece < pieces; piece++) {
        this.#staged.remove(redoKey(piece, this.#redoSlot));
      }
      pieces = Math.max(pieces, redoPieces);
      if (end !== null) return this.#describe(start, redo, end);
      select = async () => changedChunks(this.#partition.stamps, start.generation);
    }
    throw new NotSaved(`the writers lapped it ${PASSES_MAX} times`);
  }

  /** What changed on either side since both were the same; and what the file holds and the copy does not use. */
  async #firstSelection(): Promise<readonly number[]> {
    const { saved } = this.#options;
    const primary = {
      history: this.#partition.history(),
      committed: this.#view.seq,
      ringHolds: () => false,
    };
    const offer =
      saved === null
        ? { base: null, consistent: false, history: [] }
        : {
            base: { ...saved.meta.start, epoch: saved.meta.history.at(-1)?.epoch ?? 0 },
            consistent: true,
            history: saved.meta.history,
          };
    const resync = decideResync(primary, offer);
    const touched = this.#partition.chunksTouched();
    const selected = selectChunks(
      resync,
      touched,
      this.#partition.stamps,
      saved?.table.stamps() ?? new Uint32Array(0),
    );
    if (resync.kind === 'full') {
      for (let chunk = touched; chunk < this.#table.chunkCount; chunk++) this.#drop(chunk);
    }
    if (saved === null || saved.landings === this.#landings) return selected;
    return [...selected, ...(await this.#landedBefore(touched, new Set(selected)))];
  }

  /** Chunks that are not as the file has them, although their stamps do not say so. */
  async #landedBefore(touched: number, selected: ReadonlySet<number>): Promise<number[]> {
    const differing: number[] = [];
    for (let chunk = 0; chunk < touched; chunk++) {
      if (chunk % CHUNKS_PER_LOOK === 0) await this.#rest();
      if (!selected.has(chunk) && this.#differs(chunk)) differing.push(chunk);
    }
    return differing;
  }

  #differs(chunk: number): boolean {
    const isStored = this.#table.isStored(chunk);
    if (this.#partition.chunkIsFree(chunk) || !isStored) {
      return isStored === this.#partition.chunkIsFree(chunk);
    }
    const bytes = this.#partition.chunkBytesView(chunk, 0, CHUNK_BYTES);
    return crc32(bytes) !== this.#table.crc32(chunk);
  }

  #redoFrom(view: StableView): RedoTail {
    const bytesMax = Math.max(REDO_BYTES_MIN, this.#partition.stats().usedBytes);
    return new RedoTail(this.#partition, view, bytesMax, (piece, bytes) => {
      this.#put(redoKey(piece, this.#redoSlot), bytes);
    });
  }

  /** The seq at which the chunks are exact with their redo; null where the redo has a gap. */
  async #copy(selected: readonly number[], redo: RedoTail): Promise<number | null> {
    let inBatch = 0;
    for (const chunk of selected) {
      this.#copyChunk(chunk);
      if (++inBatch < CHUNKS_PER_BATCH) continue;
      inBatch = 0;
      redo.drain();
      await this.#rest();
    }
    await this.#look();
    const end = this.#view.seq;
    for (redo.drain(); !redo.isLost && redo.wholeSeq < end; redo.drain()) {
      this.#mustBeWhole();
      await this.#rest();
    }
    redo.end();
    return redo.isLost ? null : end;
  }

  #copyChunk(chunk: number): void {
    if (this.#partition.chunkIsFree(chunk)) return this.#drop(chunk);
    const bytes = this.#staged.buffer();
    this.#partition.chunkBytesView(chunk, 0, CHUNK_BYTES).copy(bytes);
    const slot = otherSlot(this.#savedSlot(chunk));
    this.#dropSaved(chunk);
    this.#table.store(chunk, bytes, slot);
    this.#put(chunkKey(chunk, slot), bytes);
    this.#chunks++;
  }

  #describe(start: CheckpointMeta['start'], redo: RedoTail, end: number): CheckpointMeta {
    const { stamps } = this.#partition;
    for (let chunk = 0; chunk < stamps.length; chunk++) {
      this.#table.setStamp(chunk, Math.min(stamps[chunk], redo.wholeGeneration));
    }
    // The history of the copy may have gone on behind the redo that was taken.
    const history = this.#partition.history().filter(({ startSeq }) => startSeq <= redo.wholeSeq);
    this.#mustBeWhole();
    if (redo.wholeSeq < end) throw new NotSaved('its redo ends too early');
    const table = this.#table.encode();
    const meta: CheckpointMeta = {
      ...ownersWords(this.#options.owner),
      endedLife: this.#options.endedLife,
      start,
      seq: redo.wholeSeq,
      generation: redo.wholeGeneration,
      checked: this.#view.checked,
      clockMs: this.#view.clockMs,
      history,
      redoSlot: this.#redoSlot,
      ...redo.written,
      tableBytes: table.length,
      tableCrc32: crc32(table),
      chunks: this.#table.storedCount(),
      savedAtMs: this.#options.nowMs(),
    };
    const { saved } = this.#options;
    for (let piece = 0; piece < (saved?.meta.redoPieces ?? 0); piece++) {
      this.#staged.removeAtEnd(redoKey(piece, otherSlot(this.#redoSlot)));
    }
    this.#putAtEnd(TABLE_KEY, table);
    this.#putAtEnd(META_KEY, encodeMeta(meta));
    return meta;
  }

  /** Fills the view. */
  async #look(): Promise<void> {
    while (!this.#partition.tryStable(this.#view)) await this.#rest();
  }

  /** Chunks that landed meanwhile are not in the redo. */
  #mustBeWhole(): void {
    const isWhole = this.#partition.consistent() && this.#landingsNow() === this.#landings;
    if (!isWhole) throw new NotSaved('the copy is being brought in line with its primary');
  }

  #landingsNow(): number {
    return this.#partition.landings();
  }

  #savedSlot(chunk: number): Slot | 0 {
    return this.#options.saved?.table.slot(chunk) ?? 0;
  }

  #drop(chunk: number): void {
    const slot = this.#table.slot(chunk);
    if (slot === 0) return;
    this.#dropSaved(chunk);
    // An earlier pass of this save may have put it.
    if (slot !== this.#savedSlot(chunk)) this.#staged.remove(chunkKey(chunk, slot));
    this.#table.drop(chunk);
  }

  /** What the former checkpoint has of it goes when that does. */
  #dropSaved(chunk: number): void {
    const slot = this.#savedSlot(chunk);
    if (slot !== 0) this.#staged.removeAtEnd(chunkKey(chunk, slot));
  }

  #put(key: number, bytes: Buffer): void {
    this.#staged.put(key, bytes);
    this.#bytes += bytes.length;
    this.#unpaid += bytes.length;
  }

  #putAtEnd(key: number, bytes: Buffer): void {
    this.#staged.putAtEnd(key, bytes);
    this.#bytes += bytes.length;
  }

  async #rest(): Promise<void> {
    const bytes = this.#unpaid;
    this.#unpaid = 0;
    await this.#options.pause(bytes);
  }
}
