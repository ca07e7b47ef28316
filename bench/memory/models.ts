/** What eviction is measured against: the queues of the papers, of so many records. */

/** Source: Zhang et al., SIEVE is simpler than LRU, NSDI 2024. */
export class SieveModel {
  readonly #records = new Map<number, Entry>();
  readonly #max: number;
  #head: Entry | null = null;
  #tail: Entry | null = null;
  #hand: Entry | null = null;

  constructor(max: number) {
    this.#max = max;
  }

  /** A read. */
  has(key: number): boolean {
    const entry = this.#records.get(key);
    if (entry !== undefined) entry.visited = true;
    return entry !== undefined;
  }

  add(key: number): void {
    if (this.#records.has(key)) return;
    if (this.#records.size >= this.#max) this.#evict();
    const entry: Entry = { key, visited: false, newer: null, older: this.#head };
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
  }
}

interface Entry {
  readonly key: number;
  visited: boolean;
  newer: Entry | null;
  older: Entry | null;
}

export class LruModel {
  readonly #keys = new Set<number>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** A read. */
  has(key: number): boolean {
    if (!this.#keys.delete(key)) return false;
    this.#keys.add(key);
    return true;
  }

  add(key: number): void {
    if (this.#keys.has(key)) return;
    if (this.#keys.size >= this.#max) {
      for (const oldest of this.#keys) {
        this.#keys.delete(oldest);
        break;
      }
    }
    this.#keys.add(key);
  }
}
