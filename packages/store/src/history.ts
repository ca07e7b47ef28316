/** Epoch history: who began which epoch at which seq and generation, oldest first, in the image's header.
 *
 *  Written by one mutation at the start of each epoch, so it travels like any other byte. A copy whose bulk was
 *  interrupted keeps the history of its base in scratch, because its header may be the new one already. */
import {
  HEADER_HISTORY,
  HEADER_HISTORY_COUNT,
  HISTORY_BYTES,
  HISTORY_MAX,
  SCRATCH_BASE_HISTORY,
  SCRATCH_BASE_HISTORY_COUNT_WORD,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import type { Mutation } from './mutation.ts';

export interface HistoryEntry {
  readonly epoch: number;
  /** First generation of the epoch: above every generation that its primary had seen. */
  readonly generation: number;
  /** Seq of the mutation that began the epoch. */
  readonly startSeq: number;
}

const COUNT_WORD = HEADER_HISTORY_COUNT >>> 2;
const ENTRIES_WORD = HEADER_HISTORY >>> 2;
const BASE_WORD = SCRATCH_BASE_HISTORY >>> 2;
const ENTRY_WORDS = HISTORY_BYTES >>> 2;

function entries(words: Int32Array, from: number, count: number): HistoryEntry[] {
  const bounded = Math.min(Math.max(count, 0), HISTORY_MAX);
  return Array.from({ length: bounded }, (_, i) => {
    const at = from + i * ENTRY_WORDS;
    return {
      epoch: words[at] >>> 0,
      generation: words[at + 1] >>> 0,
      startSeq: (words[at + 2] >>> 0) + words[at + 3] * 4_294_967_296,
    };
  });
}

/** The image's history. Inside a passage or the read protocol. */
export function readHistory(memory: PartitionMemory): HistoryEntry[] {
  return entries(memory.image32, ENTRIES_WORD, memory.image32[COUNT_WORD]);
}

export function readBaseHistory(memory: PartitionMemory): HistoryEntry[] {
  const count = memory.scratch32[SCRATCH_BASE_HISTORY_COUNT_WORD];
  return entries(memory.scratch32, BASE_WORD, count);
}

/** Keeps the image's history as that of the base, inside a passage, before a bulk may overwrite it. */
export function keepBaseHistory(memory: PartitionMemory): void {
  const words = HISTORY_MAX * ENTRY_WORDS;
  for (let i = 0; i < words; i++)
    memory.scratch32[BASE_WORD + i] = memory.image32[ENTRIES_WORD + i];
  memory.scratch32[SCRATCH_BASE_HISTORY_COUNT_WORD] = memory.image32[COUNT_WORD];
}

/** Appends an entry, the body of a mutation; the oldest falls out when the table is full. */
export function appendHistory(
  memory: PartitionMemory,
  mutation: Mutation,
  entry: HistoryEntry,
): void {
  const words = memory.image32;
  let count = words[COUNT_WORD];
  if (count === HISTORY_MAX) {
    const from = ENTRIES_WORD + ENTRY_WORDS;
    words.copyWithin(ENTRIES_WORD, from, from + (HISTORY_MAX - 1) * ENTRY_WORDS);
    count--;
  }
  const at = ENTRIES_WORD + count * ENTRY_WORDS;
  words[at] = entry.epoch;
  words[at + 1] = entry.generation;
  memory.setImageU64(at + 2, entry.startSeq);
  words[COUNT_WORD] = count + 1;
  mutation.patch(HEADER_HISTORY_COUNT, 4);
  mutation.patch(HEADER_HISTORY, HISTORY_MAX * HISTORY_BYTES);
}
