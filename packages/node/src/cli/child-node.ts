/** One node of `ingot up`: a child process of `ingot serve`, its log lines and its end.
 *
 *  It runs in a process group of its own, so that Ctrl-C reaches `ingot up` alone, which then ends
 *  its nodes; the lifeline ends them where `ingot up` cannot. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { LIFELINE_FD, LIFELINE_VARIABLE } from './lifeline.ts';
import type { NodePlan } from './up-plan.ts';

const LAST_LINES_MAX = 30;

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** It was told to leave the cluster, and has. */
  readonly hasLeft: boolean;
  /** The end of what it said on stderr. */
  readonly lastLines: readonly string[];
}

export class ChildNode {
  readonly plan: NodePlan;
  /** Resolves when the process has ended and all that it wrote has been read. */
  readonly ended: Promise<ChildEnd>;
  readonly #process: ChildProcess;
  #end: ChildEnd | null = null;
  readonly #lastLines: string[] = [];

  constructor(plan: NodePlan, onLogLine: (line: string) => void) {
    this.plan = plan;
    this.#process = spawn(process.execPath, [...process.execArgv, process.argv[1], ...plan.args], {
      detached: true,
      env: childEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    let hasLeft = false;
    readLines(this.#process.stdout, (line) => {
      hasLeft ||= line.includes('"event":"membership.ended"');
      onLogLine(line);
    });
    readLines(this.#process.stderr, (line) => {
      this.#lastLines.push(line);
      if (this.#lastLines.length > LAST_LINES_MAX) this.#lastLines.shift();
    });
    this.ended = new Promise((resolve) => {
      this.#process.once('close', (code: number | null, signal: NodeJS.Signals | null) => {
        this.#end = { code, signal, hasLeft, lastLines: this.#lastLines };
        resolve(this.#end);
      });
      // Emitted where the process cannot be started at all.
      this.#process.once('error', (error) => {
        this.#lastLines.push(error.message);
      });
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** null while it runs. */
  get end(): ChildEnd | null {
    return this.#end;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }
}

/** A node of `ingot up` is told everything by its arguments: INGOT_* of this shell has been read
 *  already and must not be read again, but for what tests alone set. */
function childEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('INGOT_') || name === 'INGOT_TEST_DOOR',
  );
  return { ...Object.fromEntries(kept), [LIFELINE_VARIABLE]: String(LIFELINE_FD) };
}

function readLines(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  if (stream === null) return;
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine);
}
