/** For how long clients are waited for: to say the password, to send a command, to read their replies. And how many
 *  there may be at a time.
 *
 *  Without a password a connection is only a guest: where there are maxclients already, the guest that came first
 *  makes room for who comes next, so that strangers cannot keep out whoever knows it.
 *  What a client has not read are replies in memory of their own: those that wait, and what the socket holds of those
 *  it was given. Values sent from where they lie are bounded by --pin-max instead. Only connections whose socket has
 *  not taken everything are looked at: when it takes no more, when replies come in meanwhile, and a few times per second.
 *  Links of other nodes are exempt from all but the number: they are silent when nothing is forwarded.
 *  Owner: one per worker. */

import type { ClientMemory } from './client-memory.ts';
import type { Connection } from './connection.ts';
import type { LimitWatch } from './limit-watch.ts';
import { authTimeoutText, MAX_CLIENTS_TEXT } from './limits.ts';
import type { LiveSettings } from './live-settings.ts';

/** What it needs of the worker. */
export interface PatienceHost {
  readonly sessions: ReadonlyMap<number, Connection>;
  readonly live: LiveSettings;
  readonly limits: LimitWatch;
  readonly clientMemory: ClientMemory;
  nowMs(): number;
  monotonicMs(): number;
}

export class Patience {
  private readonly host: PatienceHost;
  /** Since when each has been without the password; who came first is first. */
  private readonly guests: Map<Connection, number> = new Map();
  /** Since when each has had more than the soft limit to read; 0: it has not. */
  private readonly unread: Map<Connection, number> = new Map();
  /** Of these: what each had to read when it was last noted. */
  private readonly notedBytes: Map<Connection, number> = new Map();

  constructor(host: PatienceHost) {
    this.host = host;
  }

  /** Whether there is room for one more beside the `elsewhere` of other workers; false: it is turned down. */
  admits(elsewhere: number): boolean {
    const { sessions, live, limits } = this.host;
    const free = live.values.maxClients - elsewhere - sessions.size;
    if (free > 0) return true;
    const guest = this.guests.keys().next().value;
    if (guest === undefined || free < 0) return false;
    limits.strike('unauthenticated', guest);
    this.guests.delete(guest);
    guest.endSaying(MAX_CLIENTS_TEXT);
    return true;
  }

  /** It may do everything now, or must say the password first. */
  noteAuthenticated(client: Connection, authenticated: boolean): void {
    if (authenticated) this.guests.delete(client);
    else if (!this.guests.has(client)) this.guests.set(client, this.host.monotonicMs());
  }

  /** Its socket has not taken everything. */
  noteUnread(client: Connection): void {
    if (client.isLink) return;
    const { unreadBytes } = client;
    const grownBytes = unreadBytes - (this.notedBytes.get(client) ?? 0);
    if (grownBytes > 0) this.host.clientMemory.grew(grownBytes);
    this.notedBytes.set(client, unreadBytes);
    if (!this.unread.has(client)) this.unread.set(client, 0);
    this.checkUnread(client, this.host.monotonicMs());
  }

  /** Its socket has taken everything. */
  noteRead(client: Connection): void {
    this.unread.delete(client);
    this.notedBytes.delete(client);
  }

  /** It is no more. */
  forget(client: Connection): void {
    this.guests.delete(client);
    this.unread.delete(client);
    this.notedBytes.delete(client);
  }

  /** Called a few times per second. */
  tick(nowMs: number): void {
    this.endGuests(nowMs);
    this.endIdle();
    for (const client of this.unread.keys()) this.checkUnread(client, nowMs);
  }

  private endGuests(nowMs: number): void {
    const { live, limits } = this.host;
    const { authSeconds } = live.values;
    if (authSeconds === 0) return;
    for (const [guest, sinceMs] of this.guests) {
      if (nowMs - sinceMs < authSeconds * 1000) return;
      this.guests.delete(guest);
      limits.strike('unauthenticated', guest, { seconds: authSeconds });
      guest.endSaying(authTimeoutText(authSeconds));
    }
  }

  private endIdle(): void {
    const { sessions, live, limits } = this.host;
    const { idleSeconds } = live.values;
    if (idleSeconds === 0) return;
    const since = this.host.nowMs() - idleSeconds * 1000;
    for (const client of sessions.values()) {
      if (client.lastActiveAtMs >= since || !client.isIdle) continue;
      limits.strike('idle', client, { seconds: idleSeconds });
      client.destroy();
    }
  }

  private checkUnread(client: Connection, nowMs: number): void {
    const { live, limits } = this.host;
    const { outputHardBytes, outputSoftBytes, outputSoftSeconds } = live.values;
    const bytes = client.unreadBytes;
    const isHard = outputHardBytes > 0 && bytes > outputHardBytes;
    const isSoft = outputSoftBytes > 0 && bytes > outputSoftBytes;
    const sinceMs = isSoft ? this.unread.get(client) || nowMs : 0;
    this.unread.set(client, sinceMs);
    if (!isHard && !(isSoft && nowMs - sinceMs >= outputSoftSeconds * 1000)) return;
    this.unread.delete(client);
    limits.strike('output', client, { bytes, limit: isHard ? 'hard' : 'soft' });
    client.endAtOnce();
  }
}
