/** Connections that wait because a link to another node has all it may hold.
 *
 *  Where there is room again all of them try, whoever has waited longest first: one that sends much comes behind
 *  those that have got nothing yet.
 *  Bounds: a command waits for `waitMsMax` at most. After that it is refused, not executed, and so are its
 *  client's next ones, at once, until one of them finds room or as much time has passed again: a client with a long pipeline
 *  does not wait anew for each, and one that comes back later does.
 *  Owner: one per worker. */

/** With less of --failover-wait a client that merely sends much would be refused. */
export const LINK_WAIT_MS_MIN = 1_000;

export interface LinkWaiter {
  /** Tries again; waits again where there is no room. */
  linkHasRoom(): void;
}

export class LinkQueue {
  /** Since when each has found no room: who came first is first. */
  private readonly since: Map<LinkWaiter, number> = new Map();
  /** Of these, who is on hold. */
  private readonly held: Set<LinkWaiter> = new Set();
  private readonly waitMsMax: number;

  constructor(waitMsMax: number) {
    this.waitMsMax = waitMsMax;
  }

  get size(): number {
    return this.held.size;
  }

  /** It has found no room. False: it has waited for long enough. */
  wait(who: LinkWaiter, nowMs: number): boolean {
    const since = this.since.get(who);
    if (since === undefined) this.since.set(who, nowMs);
    else if (nowMs - since >= this.waitMsMax) return false;
    this.held.add(who);
    return true;
  }

  /** It has found room, or is no more. */
  leave(who: LinkWaiter): void {
    if (this.since.size === 0) return;
    this.since.delete(who);
    this.held.delete(who);
  }

  /** Somewhere there is room. */
  giveRoom(): void {
    if (this.held.size === 0) return;
    for (const who of [...this.since.keys()]) this.release(who);
  }

  /** Called a few times per second. */
  expire(nowMs: number): void {
    for (const [who, since] of this.since) {
      if (nowMs - since < this.waitMsMax) return;
      this.release(who);
      const isOld = nowMs - since >= 2 * this.waitMsMax;
      if (isOld && !this.held.has(who)) this.since.delete(who);
    }
  }

  private release(who: LinkWaiter): void {
    if (this.held.delete(who)) who.linkHasRoom();
  }
}
