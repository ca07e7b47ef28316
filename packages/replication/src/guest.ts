/** A copy of one partition for somebody who is no member of the cluster: fetched once, from any consistent copy.
 *
 *  A guest is a follower in snapshot mode that no map names: it is brought to a consistent point and goes.
 *  Nobody awaits it, and the node that it asks may itself be a follower. Owner: whoever takes backups. */
import { type Partition, ROLE_FOLLOWER } from '@ingot/store';
import { Follower, type FollowerAction } from './follower.ts';
import type { FrameHeader } from './frame.ts';
import type { Link, LinkAddress, LinkNetwork, LinkOwner, LinkSecurity } from './link.ts';
import { tcp } from './link.ts';
import { offerCopy } from './offer.ts';
import { RedoBuffers } from './redo-buffers.ts';
import { processTimers } from './timers.ts';

/** The other side says something at least every two seconds, once it is this one's turn. */
const silenceMaxMs = 15_000;

export interface GuestRequest {
  /** New: the copy lands in it. */
  readonly partition: Partition;
  readonly epoch: number;
  readonly clusterId: string;
  /** Not the id of a node. */
  readonly guestId: string;
  readonly address: LinkAddress;
  readonly security: Pick<LinkSecurity, 'secret' | 'certificates'>;
  /** Unix ms. */
  readonly nowMs: () => number;
  /** TCP unless given. */
  readonly network?: LinkNetwork;
}

export interface FetchedCopy {
  /** Of chunks and redo. */
  readonly bytes: number;
  /** The highest clock of the other side, unix ms. */
  readonly clockMs: number;
}

/** Resolves once the copy is consistent and the connection has ended. Rejects with why not; the partition is of no
 *  use then. */
export function fetchCopy(request: GuestRequest): Promise<FetchedCopy> {
  return new Guest(request).done;
}

class Guest implements LinkOwner {
  readonly done: Promise<FetchedCopy>;
  readonly #request: GuestRequest;
  readonly #outcome = Promise.withResolvers<FetchedCopy>();
  readonly #follower: Follower;
  readonly #link: Link;
  #silence: () => void = () => undefined;
  #clockMs = 0;
  #bytes = 0;
  #isOver = false;

  constructor(request: GuestRequest) {
    const { partition, epoch, clusterId, guestId, address, network = tcp } = request;
    this.#request = request;
    this.done = this.#outcome.promise;
    partition.setRole(ROLE_FOLLOWER, epoch);
    const greeter = { clusterId, nodeId: guestId, incarnation: 0 };
    const hello = { ...offerCopy(partition, greeter), snapshot: true, guest: true };
    this.#follower = new Follower({ partition, epoch, hello, buffers: new RedoBuffers() });
    const security = {
      ...{ nodeId: guestId, ...request.security },
      refused: () => undefined,
      refusedHandshake: () => undefined,
    };
    this.#link = network.connect(address, security, this);
    this.#heard();
  }

  opened(): void {
    this.#perform(this.#follower.start(this.#request.nowMs()));
  }

  place(header: FrameHeader): Buffer | string {
    // What still arrives in the same read must not touch the copy.
    return this.#isOver ? 'the copy is whole' : this.#follower.place(header);
  }

  frame(header: FrameHeader, payload: Buffer): string | null {
    if (this.#isOver) return 'the copy is whole';
    this.#heard();
    this.#bytes += payload.length;
    this.#clockMs = Math.max(this.#clockMs, header.clockMs);
    this.#perform(this.#follower.step(header, payload, this.#request.nowMs()));
    return null;
  }

  closed(reason: string): void {
    this.#isOver = true;
    this.#silence();
    this.#follower.close();
    this.#outcome.reject(new Error(reason));
  }

  #heard(): void {
    this.#silence();
    this.#silence = processTimers.later(silenceMaxMs, () => this.#link.close('it fell silent'));
  }

  #perform(actions: readonly FollowerAction[]): void {
    const frames = actions.filter((action) => action.kind === 'send');
    if (frames.length > 0) this.#link.send(frames);
    for (const action of actions) {
      if (action.kind === 'refused') {
        return this.#link.close(`${action.refusal.code}: ${action.refusal.text}`);
      }
      if (action.kind === 'drop') return this.#link.closeBroken(action.reason);
    }
    if (!this.#request.partition.consistent()) return;
    this.#isOver = true;
    this.#outcome.resolve({ bytes: this.#bytes, clockMs: this.#clockMs });
    this.#link.close('the copy is whole');
  }
}
