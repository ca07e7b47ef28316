/** Simulated time: events in the order of their times, on threads that may be busy, paused or dead.
 *
 *  An event runs to its end unless it lets others in: `runNext` called from inside an event runs whatever comes next
 *  and may run, that is, is on another thread and needs no gate that is held. This is how a writer is stopped in
 *  the middle of a passage while the rest of the world goes on. The order is a function of what was asked for,
 *  so the same seed gives the same run. */

export class Thread {
  readonly name: string;
  busy = false;
  pausedUntilMs = 0;
  /** The process has ended: nothing of it runs any more. */
  dead = false;

  constructor(name: string) {
    this.name = name;
  }
}

/** A partition's gate, as far as the order of events is concerned. */
export interface Gate {
  held: boolean;
}

interface Event {
  atMs: number;
  readonly order: number;
  readonly thread: Thread;
  readonly gate: Gate | null;
  readonly run: () => void;
}

/** Thrown through the frames of a process that dies in the middle of something. */
export class ProcessDied extends Error {}

export class Scheduler {
  nowMs = 1_000_000;
  eventCount = 0;
  /** Events inside events. */
  depth = 0;
  /** Called before an event of a thread begins. */
  beforeEvent: (thread: Thread) => void = () => {};
  readonly #heap: Event[] = [];
  #order = 0;

  after(delayMs: number, thread: Thread, run: () => void, gate: Gate | null = null): void {
    this.#push({ atMs: this.nowMs + delayMs, order: this.#order++, thread, gate, run });
  }

  /** Runs the next event that may run; false where there is none up to `limitMs`. */
  runNext(limitMs: number): boolean {
    const waiting: Event[] = [];
    const next = this.#takeNext(limitMs, waiting);
    for (const event of waiting) this.#push(event);
    if (next === null) return false;
    this.#run(next);
    return true;
  }

  /** Runs all events up to `limitMs`, or until `done`. */
  runUntil(limitMs: number, done: () => boolean = () => false): void {
    while (!done() && this.runNext(limitMs));
    if (!done() && this.nowMs < limitMs) this.nowMs = limitMs;
  }

  #takeNext(limitMs: number, waiting: Event[]): Event | null {
    for (let event = this.#heap[0]; event !== undefined; event = this.#heap[0]) {
      if (event.atMs > limitMs) return null;
      this.#pop();
      const { thread } = event;
      if (thread.dead) continue;
      if (thread.busy || event.gate?.held === true) waiting.push(event);
      else if (thread.pausedUntilMs > Math.max(this.nowMs, event.atMs)) {
        event.atMs = thread.pausedUntilMs;
        this.#push(event);
      } else return event;
    }
    return null;
  }

  #run({ atMs, thread, run }: Event): void {
    if (atMs > this.nowMs) this.nowMs = atMs;
    this.eventCount++;
    this.depth++;
    thread.busy = true;
    try {
      this.beforeEvent(thread);
      run();
    } catch (error) {
      if (!(error instanceof ProcessDied)) throw error;
    } finally {
      thread.busy = false;
      this.depth--;
    }
  }

  // ------------------------------------------------------------ a binary heap

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!isBefore(event, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
