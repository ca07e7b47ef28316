/** The truth for tests: what a primary's image looked like right after each mutation.
 *
 *  Watches a partition's image from outside of all replication code: after each published seq it compares the image
 *  with its own copy and keeps every version of every chunk. `differs` then judges a copy at any seq. */
import { CHUNK_BYTES, type Partition } from '@ingot/store';

interface Version {
  readonly seq: number;
  readonly bytes: Buffer;
}

export class Oracle {
  readonly #partition: Partition;
  readonly #versions: Version[][] = [];
  #lastSeq = -1;

  constructor(partition: Partition) {
    this.#partition = partition;
    this.published();
  }

  /** The image is that of the committed seq now. */
  published(): void {
    const { seq } = this.#partition.stats();
    const chunkCount = this.#partition.chunksTouched();
    for (let chunk = 0; chunk < chunkCount; chunk++) {
      const now = this.#partition.chunkBytesView(chunk, 0, CHUNK_BYTES);
      const versions = (this.#versions[chunk] ??= []);
      const last = versions.at(-1);
      if (last !== undefined && last.bytes.equals(now)) continue;
      if (last?.seq === seq)
        throw new Error(`chunk ${chunk} changed after seq ${seq} was published`);
      versions.push({ seq, bytes: Buffer.from(now) });
    }
    this.#lastSeq = seq;
  }

  /** The first way in which the copy is not the image at its seq, or null. */
  differs(copy: Partition): string | null {
    const { seq } = copy.stats();
    if (seq > this.#lastSeq) return `the copy is at seq ${seq}, the primary at ${this.#lastSeq}`;
    for (let chunk = 0; chunk < copy.geometry.chunkCount; chunk++) {
      const expected = this.#versions[chunk]?.findLast((version) => version.seq <= seq)?.bytes;
      const actual = copy.chunkBytesView(chunk, 0, CHUNK_BYTES);
      const same = expected === undefined ? isZero(copy, chunk) : actual.equals(expected);
      if (!same)
        return `at seq ${seq} chunk ${chunk} differs at byte ${firstByte(actual, expected)}`;
    }
    return null;
  }

  /** No copy will be judged at a seq below this one any more. */
  forgetBefore(seq: number): void {
    for (const versions of this.#versions) {
      const keep = versions?.findLastIndex((version) => version.seq <= seq) ?? -1;
      if (keep > 0) versions.splice(0, keep);
    }
  }
}

/** A chunk beyond all that the primary ever used: only a copy that touched it has to be looked at. */
function isZero(copy: Partition, chunk: number): boolean {
  if (copy.stamps[chunk] === 0) return true;
  return copy.chunkBytesView(chunk, 0, CHUNK_BYTES).every((byte) => byte === 0);
}

function firstByte(actual: Buffer, expected: Buffer | undefined): number {
  return actual.findIndex((byte, i) => byte !== (expected?.[i] ?? 0));
}
