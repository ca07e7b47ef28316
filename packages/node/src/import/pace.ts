/** How long to rest so that no more than so many keys, or bytes, go through a second. Pure: the clock is passed in. */
import { usageError } from '../shared/errors.ts';
import { parseBytes } from '../shared/bytes.ts';

/** Exactly one of the two, or neither: as fast as it goes. */
export interface Rate {
  readonly keysPerSecond: number | null;
  readonly bytesPerSecond: number | null;
}

/** Pieces are so small that a second is made of several. */
const PIECES_PER_SECOND = 20;
const PAGE_KEYS_MAX = 1_000;
const PIECE_BYTES_MAX = 4 * 1_048_576;
/** A rest that was missed is not made up for longer than this. */
const ARREARS_MS_MAX = 200;

/** `5000`: keys per second; `20mb`: bytes per second. */
export function rateFrom(text: string | null): Rate {
  if (text === null) return { keysPerSecond: null, bytesPerSecond: null };
  const isCount = /^\d+$/.test(text.trim());
  const number = isCount ? Number(text) : parseBytes(text);
  if (!Number.isSafeInteger(number) || number < 1) {
    throw usageError(
      `--rate must be a number of keys per second such as 5000, or bytes per second such as 20mb, not "${text}"`,
    );
  }
  return { keysPerSecond: isCount ? number : null, bytesPerSecond: isCount ? null : number };
}

export class Pace {
  readonly #rate: Rate;
  /** When what was done so far should have taken until. */
  #dueMs = Number.NEGATIVE_INFINITY;

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** How many keys to ask for at once. */
  get pageKeys(): number {
    return piece(this.#rate.keysPerSecond, PAGE_KEYS_MAX);
  }

  /** How many bytes of values to ask for at once; one value may be longer. */
  get pieceBytes(): number {
    return piece(this.#rate.bytesPerSecond, PIECE_BYTES_MAX);
  }

  /** So much was done. Returns how long to rest now. */
  done(keys: number, bytes: number, nowMs: number): number {
    const { keysPerSecond, bytesPerSecond } = this.#rate;
    const seconds =
      (keysPerSecond === null ? 0 : keys / keysPerSecond) +
      (bytesPerSecond === null ? 0 : bytes / bytesPerSecond);
    this.#dueMs = Math.max(this.#dueMs, nowMs - ARREARS_MS_MAX) + 1_000 * seconds;
    return Math.max(0, this.#dueMs - nowMs);
  }
}

function piece(perSecond: number | null, most: number): number {
  if (perSecond === null) return most;
  return Math.min(Math.max(Math.ceil(perSecond / PIECES_PER_SECOND), 1), most);
}
