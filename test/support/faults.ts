/** What can go wrong on a link: each fault strikes once, at a place that it chooses by the frames that pass.
 *
 *  A link shows every part that passes to the faults armed on it; the first that answers with an effect is used
 *  up. Nothing here touches a socket: `TcpLink` performs the effects. */
import type { Part } from './frame-tap.ts';

/** `down` is from the side that listens (the primary) to the side that connected (the follower). */
export type Direction = 'down' | 'up';

/** How a connection ends. `reset`: both ends get RST. `close`: the receiver gets all bytes up to the place and
 *  then the end, the other end a reset. `halfClose`: the receiver gets the end, and nothing else happens. */
export type CutHow = 'reset' | 'close' | 'halfClose';

export type Effect =
  | { readonly kind: 'cut'; readonly how: CutHow /** In the part's bytes. */; readonly at: number }
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  /** From this part on nothing passes in this direction, until the link is told to go on. */
  | { readonly kind: 'stall' };

/** In the place of a partition: its HELLO has not passed yet. */
export const BEFORE_HELLO = -1;

/** Where a fault struck. */
export interface Strike {
  /** Of the HELLO that opened the connection, or BEFORE_HELLO. */
  readonly partition: number;
  readonly effect: Effect;
  readonly part: Pick<Part, 'kind' | 'frame' | 'type' | 'chunk' | 'at'>;
}

export class Fault {
  readonly struck: Promise<Strike>;
  readonly #strike: (strike: Strike) => void;
  readonly #direction: Direction;
  readonly #partition: number | null;
  readonly #effectOn: (part: Part) => Effect | null;

  /** `partition` null: on any connection. */
  constructor(
    direction: Direction,
    effectOn: (part: Part) => Effect | null,
    partition: number | null = null,
  ) {
    this.#direction = direction;
    this.#effectOn = effectOn;
    this.#partition = partition;
    const { promise, resolve } = Promise.withResolvers<Strike>();
    this.struck = promise;
    this.#strike = resolve;
  }

  /** Looks at a part. An effect is final: the fault must not be shown another one. */
  meet(direction: Direction, partition: number, part: Part): Effect | null {
    if (direction !== this.#direction) return null;
    if (this.#partition !== null && this.#partition !== partition) return null;
    const effect = this.#effectOn(part);
    if (effect === null) return null;
    const { kind, frame, type, chunk, at } = part;
    this.#strike({ partition, effect, part: { kind, frame, type, chunk, at } });
    return effect;
  }
}

/** Cuts when so many bytes more have passed, wherever in a frame that is. */
export function cutAfter(
  bytes: number,
  direction: Direction,
  how: CutHow,
  partition: number | null = null,
): Fault {
  let left = bytes;
  return new Fault(
    direction,
    (part) => {
      const at = left;
      left -= part.bytes.length;
      return left <= 0 ? { kind: 'cut', how, at } : null;
    },
    partition,
  );
}

/** Flips a bit of the byte that comes after so many others, wherever in a frame that is. */
export function flipAfter(bytes: number, direction: Direction, partition: number | null): Fault {
  let left = bytes;
  return new Fault(
    direction,
    (part) => {
      const at = left;
      left -= part.bytes.length;
      return left < 0 ? { kind: 'flip', at, bit: at & 7 } : null;
    },
    partition,
  );
}

export interface FlipPlace {
  /** Byte of the header or the payload. */
  readonly at?: number;
  readonly bit?: number;
  /** So many frames that have such a place go by before. */
  readonly skip?: number;
  readonly direction?: Direction;
}

/** Flips one bit of the first frame of this type that has such a place, behind `skip` others. */
export function flipIn(
  type: number,
  kind: 'header' | 'payload',
  { at = 0, bit = 0, skip = 0, direction = 'down' }: FlipPlace = {},
): Fault {
  let left = skip;
  return new Fault(direction, (part) => {
    if (part.type !== type || part.kind !== kind) return null;
    const place = at - part.at;
    if (place < 0 || place >= part.bytes.length) return null;
    return left-- > 0 ? null : { kind: 'flip', at: place, bit };
  });
}

/** Holds this direction in front of the first frame of this type that comes behind `skip` others. */
export function stallAt(type: number, direction: Direction, skip = 0): Fault {
  let left = skip;
  return new Fault(direction, (part) => {
    if (part.type !== type || part.kind !== 'header') return null;
    return left-- > 0 ? null : { kind: 'stall' };
  });
}
