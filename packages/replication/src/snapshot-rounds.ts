/** The rounds of one partition in snapshot mode: when one begins, which image it may write to, and what readers see
 *  when it has ended. A pure machine.
 *
 *      resting --due--> parting --nobody reads the spare image any more--> syncing --END, and all before it--> resting
 *         ^                |                                                  |         (the images change places)
 *         +----------------+---------------- interrupted ---------------------+
 *
 *  Two images: readers are at `current`, a round writes to the other one, the spare. What was current before the last
 *  round may still be read by whoever has not looked since, so a round waits until all have.
 *  Invariants: `begin` never names the current image; `publish` names the image whose round has just ended, and nothing
 *  else changes what is current; an interrupted round changes nothing for readers, however far it was.
 *  Knows nothing of connections, shared memory and clocks. */

export type ImageIndex = 0 | 1;
/** Before the first round there is none. */
export const NO_IMAGE = -1;

export type RoundEvent =
  /** Now and then. `isReachable`: there is a primary to ask. `isSpare`: nobody reads the image that is not current. */
  | { readonly kind: 'tick'; readonly isReachable: boolean; readonly isSpare: boolean }
  /** The image of the round is at one point of the primary's past, whole. */
  | { readonly kind: 'ended' }
  /** Whatever the reason: nothing more comes for this round. */
  | { readonly kind: 'interrupted' };

export type RoundAction =
  /** Bring this image up to date: from here on it may be written to. */
  | { readonly kind: 'begin'; readonly image: ImageIndex }
  /** Readers are to go on with this image. */
  | { readonly kind: 'publish'; readonly image: ImageIndex };

const retryFirstMs = 100;
const retryMaxMs = 5_000;
const NOTHING: readonly RoundAction[] = [];

export class SnapshotRounds {
  readonly #everyMs: number;
  #phase: 'resting' | 'parting' | 'syncing' = 'resting';
  #current: ImageIndex | typeof NO_IMAGE = NO_IMAGE;
  #dueMs = Number.NEGATIVE_INFINITY;
  #beganMs = 0;
  #retryMs = retryFirstMs;

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  get phase(): 'resting' | 'parting' | 'syncing' {
    return this.#phase;
  }

  /** What readers see. */
  get current(): ImageIndex | typeof NO_IMAGE {
    return this.#current;
  }

  get spare(): ImageIndex {
    return this.#current === 0 ? 1 : 0;
  }

  /** A round is due, or it waits for readers to part. */
  isDue(nowMs: number): boolean {
    return this.#phase === 'parting' || (this.#phase === 'resting' && nowMs >= this.#dueMs);
  }

  step(event: RoundEvent, nowMs: number): readonly RoundAction[] {
    switch (event.kind) {
      case 'tick':
        return this.#tick(event.isReachable, event.isSpare, nowMs);
      case 'ended':
        return this.#end();
      case 'interrupted':
        this.#interrupt(nowMs);
        return NOTHING;
    }
  }

  #tick(isReachable: boolean, isSpare: boolean, nowMs: number): readonly RoundAction[] {
    if (!this.isDue(nowMs)) return NOTHING;
    this.#phase = isReachable ? 'parting' : 'resting';
    if (!isReachable || !isSpare) return NOTHING;
    this.#phase = 'syncing';
    this.#beganMs = nowMs;
    return [{ kind: 'begin', image: this.spare }];
  }

  #end(): readonly RoundAction[] {
    if (this.#phase !== 'syncing') return NOTHING;
    this.#phase = 'resting';
    this.#current = this.spare;
    this.#dueMs = this.#beganMs + this.#everyMs;
    this.#retryMs = retryFirstMs;
    return [{ kind: 'publish', image: this.#current }];
  }

  /** Tried again soon, and then less and less often, but no less often than rounds come. */
  #interrupt(nowMs: number): void {
    if (this.#phase !== 'syncing') return;
    this.#phase = 'resting';
    this.#dueMs = nowMs + Math.min(this.#retryMs, this.#everyMs);
    this.#retryMs = Math.min(this.#retryMs * 2, retryMaxMs);
  }
}
