/** What all clients of a node may hold together: maxmemory-clients.
 *
 *  Counted are a connection's own memory: what it has sent and was not executed, what its transaction queues, replies
 *  that it has not read. Not what is sent from where it lies, nor links of other nodes, which have bounds of their own.
 *  Where there is too much, whoever holds most is disconnected, one after the other, until there is not; but for those
 *  that asked not to be (CLIENT NO-EVICT), which count all the same, as in Redis.
 *  Each worker counts its own a few times per second, and earlier where enough has come in that it might be too much;
 *  it tells the others its sum and its largest, and none ends a client that is smaller than another's largest.
 *  Owner: one per worker. */

import { Counter, type WorkerCounters } from '../metrics/layout.ts';
import type { Connection } from './connection.ts';
import type { LimitWatch } from './limit-watch.ts';
import type { LiveSettings } from './live-settings.ts';

/** Fewer bytes than that are not worth a look. */
const LOOK_BYTES_MIN: number = 1024 * 1024;

export interface ClientMemoryHost {
  readonly sessions: ReadonlyMap<number, Connection>;
  readonly live: LiveSettings;
  readonly limits: LimitWatch;
  readonly counters: WorkerCounters;
  readonly otherCounters: readonly WorkerCounters[];
  /** What per cent of maxmemory-clients are taken of. */
  capacityBytes(): number;
}

export class ClientMemory {
  private readonly host: ClientMemoryHost;
  /** Have been told to end, and have not ended. */
  private readonly ending: Set<Connection> = new Set();
  /** What may have come to be held since the last look, and how much of that asks for another. */
  private grownBytes = 0;
  private lookAtBytes: number = LOOK_BYTES_MIN;
  private scheduled = false;

  constructor(host: ClientMemoryHost) {
    this.host = host;
  }

  /** So much more may be held. */
  grew(bytes: number): void {
    this.grownBytes += bytes;
    if (this.grownBytes > this.lookAtBytes) this.lookSoon();
  }

  private lookSoon(): void {
    this.grownBytes = 0;
    if (this.scheduled) return;
    this.scheduled = true;
    // Not at once: a batch may be running.
    setImmediate(() => {
      this.scheduled = false;
      this.look();
    });
  }

  /** It is no more. */
  forget(client: Connection): void {
    this.ending.delete(client);
  }

  /** Counts, and ends who must be; called a few times per second. */
  look(): void {
    const { sessions, counters, otherCounters } = this.host;
    this.grownBytes = 0;
    let bytes = 0;
    let mostBytes = 0;
    for (const client of sessions.values()) {
      if (client.isLink || this.ending.has(client)) continue;
      const { heldBytes } = client;
      bytes += heldBytes;
      if (!client.noEvict && heldBytes > mostBytes) mostBytes = heldBytes;
    }
    counters.set(Counter.clientBytes, bytes);
    counters.set(Counter.clientBytesMost, mostBytes);
    const elsewhere = otherCounters.reduce((sum, block) => sum + block.get(Counter.clientBytes), 0);
    const over = bytes + elsewhere - this.bytesMax;
    if (over > 0) this.evict(over);
    else this.lookAtBytes = Math.max(LOOK_BYTES_MIN, -over / (2 + 2 * otherCounters.length));
  }

  private get bytesMax(): number {
    const { clientsBytes } = this.host.live.values;
    if (clientsBytes === 0) return Number.MAX_SAFE_INTEGER;
    if (clientsBytes > 0) return clientsBytes;
    return Math.floor((this.host.capacityBytes() * -clientsBytes) / 100);
  }

  private evict(over: number): void {
    const { sessions, limits, counters, otherCounters } = this.host;
    const most = Math.max(0, ...otherCounters.map((block) => block.get(Counter.clientBytesMost)));
    const bytesMax = this.bytesMax;
    const clients = [...sessions.values()]
      .filter((client) => !client.isLink && !client.noEvict && !this.ending.has(client))
      .map((client) => ({ client, bytes: client.heldBytes }))
      .sort((a, b) => b.bytes - a.bytes);
    let left = over;
    for (const { client, bytes } of clients) {
      if (left <= 0 || bytes < most) break;
      left -= bytes;
      counters.add(Counter.clientBytes, -bytes);
      this.ending.add(client);
      limits.strike('clientsMemory', client, { bytes, bytesMax });
      client.endAtOnce();
    }
  }
}
