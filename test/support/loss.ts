/** What became of writes that a primary alone had acknowledged (acks=local): counts those that a later read no longer
 *  shows, and over how long a time they had been acknowledged.
 *
 *  For keys that one client alone writes, one command after the other, with versions that grow. A write whose
 *  outcome is not known may come late, and hide later ones: what it hides is not counted as lost. */

interface Ack {
  readonly version: number;
  readonly atMs: number;
}

interface KeyState {
  /** Since the last read, in order. */
  acks: Ack[];
  readonly unknown: Set<number>;
}

export class Loss {
  /** Acknowledged writes that are gone. */
  writes = 0;
  /** Reads that showed some to be gone. */
  occasions = 0;
  /** From the first to the last of the writes that one read showed to be gone. */
  longestMs = 0;
  readonly #keys = new Map<string, KeyState>();

  acknowledged(key: string, version: number, atMs: number): void {
    this.#state(key).acks.push({ version, atMs });
  }

  unanswered(key: string, version: number): void {
    this.#state(key).unknown.add(version);
  }

  /** `version` null: the key is not there. */
  read(key: string, version: number | null): void {
    const state = this.#state(key);
    const { acks, unknown } = state;
    const seen = version ?? Number.NEGATIVE_INFINITY;
    state.acks = acks.filter((ack) => ack.version === version);
    if (version !== null && unknown.has(version)) return;
    const gone = acks.filter((ack) => ack.version > seen);
    if (gone.length === 0) return;
    this.occasions++;
    this.writes += gone.length;
    this.longestMs = Math.max(this.longestMs, gone[gone.length - 1].atMs - gone[0].atMs);
  }

  #state(key: string): KeyState {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    const state: KeyState = { acks: [], unknown: new Set() };
    this.#keys.set(key, state);
    return state;
  }
}
