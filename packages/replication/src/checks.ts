/** CHECK answers on the wire, and the pass of CHECK markers that follows a bulk.
 *
 *  A marker in the redo says: at this seq, this chunk has this crc32. Each follower compares when it gets there and
 *  answers with both sums. Markers are told apart by (chunk, seq): at one seq a chunk has one content, so an answer
 *  to anybody's marker at or behind the seq at which ours was asked for answers ours too.
 *  Owner of a `CheckPass`: one sender. Bounded: at most `outstandingMarkersMax` unanswered. */
import { CHECK_ANSWER_BYTES } from './frame.ts';
import { defineLayout, readU64, writeU64 } from './layout.ts';

export interface CheckAnswer {
  readonly chunk: number;
  readonly seq: number;
  /** crc32 on the primary. */
  readonly expected: number;
  /** crc32 of the copy. */
  readonly actual: number;
}

const AT = defineLayout(
  [
    ['chunk', 0, 4],
    ['expected', 4, 4],
    ['seq', 8, 8],
    ['actual', 16, 4],
    ['reserved', 20, 4],
  ],
  CHECK_ANSWER_BYTES,
);

export function encodeAnswers(answers: readonly CheckAnswer[]): Buffer {
  const bytes = Buffer.alloc(answers.length * CHECK_ANSWER_BYTES);
  answers.forEach((answer, i) => {
    const at = i * CHECK_ANSWER_BYTES;
    bytes.writeUInt32LE(answer.chunk, at + AT.chunk);
    bytes.writeUInt32LE(answer.expected, at + AT.expected);
    writeU64(bytes, at + AT.seq, answer.seq);
    bytes.writeUInt32LE(answer.actual, at + AT.actual);
  });
  return bytes;
}

/** @returns the answers, or the rule that they break. */
export function decodeAnswers(bytes: Buffer, chunkCount: number): CheckAnswer[] | string {
  const answers: CheckAnswer[] = [];
  for (let at = 0; at < bytes.length; at += CHECK_ANSWER_BYTES) {
    const chunk = bytes.readUInt32LE(at + AT.chunk);
    const seq = readU64(bytes, at + AT.seq);
    if (chunk >= chunkCount) return 'an answer names a chunk of the image';
    if (!Number.isSafeInteger(seq)) return 'a seq is below 2^53';
    answers.push({
      chunk,
      seq,
      expected: bytes.readUInt32LE(at + AT.expected),
      actual: bytes.readUInt32LE(at + AT.actual),
    });
  }
  return answers;
}

export const outstandingMarkersMax = 32;

/** Which chunks of one copy still have to be vouched for. */
export class CheckPass {
  /** 1 = not vouched for yet. */
  readonly #due: Uint8Array;
  readonly #asked = new Map<number, number>();
  #different: number[] = [];
  #next = 0;

  constructor(chunkCount: number) {
    this.#due = new Uint8Array(chunkCount);
  }

  /** The chunk has to be checked (again), from the next `restart` on. */
  add(chunk: number): void {
    this.#due[chunk] = 1;
  }

  /** Starts over with all that is still due: markers asked for before a bulk are void. */
  restart(): void {
    this.#asked.clear();
    this.#different = [];
    this.#next = 0;
  }

  /** Chunk whose marker is to be appended next, -1 when none is left or enough are unanswered. */
  next(): number {
    if (this.#asked.size >= outstandingMarkersMax) return -1;
    this.#next = this.#due.indexOf(1, this.#next);
    if (this.#next === -1) this.#next = this.#due.length;
    return this.#next < this.#due.length ? this.#next : -1;
  }

  /** The marker of the chunk that `next` returned stands in the redo at `seq` or behind it. */
  asked(chunk: number, seq: number): void {
    this.#asked.set(chunk, seq);
    this.#next = chunk + 1;
  }

  answered(answer: CheckAnswer): void {
    const askedSeq = this.#asked.get(answer.chunk);
    if (askedSeq === undefined || answer.seq < askedSeq) return;
    this.#asked.delete(answer.chunk);
    if (answer.expected === answer.actual) this.#due[answer.chunk] = 0;
    else this.#different.push(answer.chunk);
  }

  /** Every marker is out and answered. */
  get done(): boolean {
    return this.#asked.size === 0 && this.#next >= this.#due.length;
  }

  /** Chunks that differed; still due. */
  get different(): readonly number[] {
    return this.#different;
  }
}
