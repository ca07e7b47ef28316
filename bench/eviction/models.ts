/** What eviction is measured against: the queues of the papers, each with so many bytes of records. */

interface Entry {
  readonly key: number;
  readonly bytes: number;
  visited: boolean;
  newer: Entry | null;
  older: Entry | null;
}

/** Source: Zhang et al., SIEVE is simpler than LRU, NSDI 2024. */
export class SieveModel {
  readonly #records = new Map<number, Entry>();
  readonly #bytesMax: number;
  #bytes = 0;
  #head: Entry | null = null;
  #tail: Entry | null = null;
  #hand: Entry | null = null;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#records.size;
  }

  /** A read. */
  has(key: number): boolean {
    const entry = this.#records.get(key);
    if (entry !== undefined) entry.visited = true;
    return entry !== undefined;
  }

  add(key: number, bytes: number): void {
    if (this.#records.has(key)) return;
    this.#bytes += bytes;
    while (this.#bytes > this.#bytesMax) this.#evict();
    const entry: Entry = { key, bytes, visited: false, newer: null, older: this.#head };
    if (this.#head !== null) this.#head.newer = entry;
    this.#head = entry;
    this.#tail ??= entry;
    this.#records.set(key, entry);
  }

  #evict(): void {
    let entry = this.#hand ?? this.#tail;
    while (entry?.visited === true) {
      entry.visited = false;
      entry = entry.newer ?? this.#tail;
    }
    if (entry === null) return;
    this.#hand = entry.newer;
    if (entry.newer === null) this.#head = entry.older;
    else entry.newer.older = entry.older;
    if (entry.older === null) this.#tail = entry.newer;
    else entry.older.newer = entry.newer;
    this.#records.delete(entry.key);
    this.#bytes -= entry.bytes;
  }
}

export class LruModel {
  readonly #bytesOf = new Map<number, number>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#bytesOf.size;
  }

  /** A read. */
  has(key: number): boolean {
    const bytes = this.#bytesOf.get(key);
    if (bytes === undefined) return false;
    this.#bytesOf.delete(key);
    this.#bytesOf.set(key, bytes);
    return true;
  }

  add(key: number, bytes: number): void {
    if (this.has(key)) return;
    this.#bytesOf.set(key, bytes);
    this.#bytes += bytes;
    for (const [oldest, oldestBytes] of this.#bytesOf) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#bytesOf.delete(oldest);
      this.#bytes -= oldestBytes;
    }
  }
}
