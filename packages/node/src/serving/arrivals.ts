/** What connections were sent in one turn of the event loop, executed together at its end.
 *
 *  A batch of one command has nothing to overlap its cache misses with; the batches of fifty connections have each other.
 *  So what is short, and needs nothing else first, is moved here when it is read; the end of the turn parses and plans
 *  the commands of many connections, loads what all of them will need, and executes them, connection by connection.
 *  Everything else is executed where it was read: what is long enough to overlap its own misses, or has to wait; and all
 *  of it where turns have one connection only (turn.ts).
 *  Order: a connection has one entry at most; whatever else happens to it executes that first.
 *  Bounds: ARRIVALS_BYTES, of which each has ENTRY_BYTES_MAX; COMMANDS_AT_ONCE are planned together.
 *  Owner: one per worker. */

import { Buffer } from 'node:buffer';
import type { BatchExecutor } from './batch.ts';
import type { Connection } from './connection.ts';
import type { Turn } from './turn.ts';

export const ARRIVALS_BYTES: number = 64 * 1024;
export const ENTRY_BYTES_MAX: number = 512;
/** What so many commands need fits the first cache; a connection that begins below may go beyond. */
export const COMMANDS_AT_ONCE = 64;

export class Arrivals {
  private readonly executor: BatchExecutor;
  private readonly turn: Turn;
  private readonly buffer: Buffer = Buffer.allocUnsafeSlow(ARRIVALS_BYTES);
  /** Entry i is of connections[i]: the bytes from ends[i - 1] to ends[i]. */
  private readonly connections: Connection[] = [];
  private readonly ends: number[] = [];
  /** Where the commands of each end, among those that are planned. */
  private readonly commandEnds: number[] = [];
  private count = 0;
  private bytes = 0;

  constructor(executor: BatchExecutor, turn: Turn) {
    this.executor = executor;
    this.turn = turn;
  }

  /** Takes what a connection was sent; false: it is to be executed where it is. */
  take(connection: Connection, received: Buffer, bytes: number): boolean {
    if (bytes > ENTRY_BYTES_MAX) return false;
    if (this.bytes + bytes > ARRIVALS_BYTES) this.execute();
    received.copy(this.buffer, this.bytes, 0, bytes);
    this.bytes += bytes;
    const at = this.count++;
    this.connections[at] = connection;
    this.ends[at] = this.bytes;
    this.turn.schedule();
    return true;
  }

  /** Whatever has arrived is executed. */
  execute(): void {
    const { count, turn } = this;
    if (count === 0) return;
    turn.gathers = true;
    for (let at = 0; at < count; ) at = this.executeFrom(at, count);
    turn.gathers = false;
    this.connections.length = 0;
    this.count = 0;
    this.bytes = 0;
  }

  /** Executes entries from `from` on, as many as are planned together. Returns which one comes next. */
  private executeFrom(from: number, count: number): number {
    const { executor, connections, ends, commandEnds, buffer } = this;
    executor.beginPlan(buffer);
    let until = from;
    let start = from === 0 ? 0 : ends[from - 1];
    const first = start;
    while (until < count && executor.planned < COMMANDS_AT_ONCE) {
      if (!executor.addToPlan(start, ends[until])) break;
      start = ends[until];
      commandEnds[until++] = executor.planned;
    }
    if (until === from) {
      connections[from].executeArrived(buffer, first, ends[from]);
      return from + 1;
    }
    executor.finishPlan();
    start = first;
    let command = 0;
    for (let i = from; i < until; i++) {
      connections[i].executePlanned(buffer, start, ends[i], command, commandEnds[i]);
      start = ends[i];
      command = commandEnds[i];
    }
    return until;
  }
}
