/** CLIENT PAUSE: commands of clients wait, all of them or those that write. Links of other nodes do not:
 *  their own node's clients were not paused, and wait behind each other there. */

import type { ClientPauseOrder } from '../shared/worker-questions.ts';
import type { Connection } from './connection.ts';
import type { Command } from './execution.ts';

export const PauseMode = { none: 0, write: 1, all: 2 } as const;
type Mode = (typeof PauseMode)[keyof typeof PauseMode];

export class ClientPause {
  mode: Mode = PauseMode.none;
  private untilMs = 0;
  private timer: NodeJS.Timeout | null = null;
  private readonly release: () => void;

  /** `release` lets go of every connection that waits for it. */
  constructor(release: () => void) {
    this.release = release;
  }

  /** A pause is made longer and stricter by another, never shorter, until it ends. */
  order({ mode, ms }: ClientPauseOrder, nowMs: number): void {
    if (mode === 'none') return this.end();
    this.mode = Math.max(this.mode, PauseMode[mode]) as Mode;
    this.untilMs = Math.max(this.untilMs, nowMs + ms);
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(() => this.end(), Math.min(this.untilMs - nowMs, 2 ** 31 - 1)).unref();
  }

  /** Whether this command must wait; `writesQueued`: an EXEC of it would write. */
  holds(connection: Connection, command: Command, writesQueued: () => boolean): boolean {
    if (this.mode === PauseMode.none || connection.isLink) return false;
    if (this.mode === PauseMode.all || command.flags.includes('write')) return true;
    return command.name === 'exec' && writesQueued();
  }

  private end(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.mode = PauseMode.none;
    this.untilMs = 0;
    this.release();
  }
}
