/** A child process of a test: what it wrote, how it ended, and that it ends when the test does.
 *
 *  Where setpriv is installed (util-linux, every Debian) the kernel kills the child when this process is
 *  gone, however it went. What is left at an orderly exit is killed by its pid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const SETPRIV = '/usr/bin/setpriv';
/** Put before a program: the kernel's signal for a lost parent. It survives exec. */
const BOUND = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL'] : [];

const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export class Child {
  readonly stdoutLines: string[] = [];
  readonly stderrLines: string[] = [];
  readonly ended: Promise<ChildEnd>;
  #end: ChildEnd | null = null;
  readonly #process: ChildProcess;

  constructor(program: string, args: readonly string[], { env = {}, cwd }: ChildOptions = {}) {
    const [first, ...rest] = [...BOUND, program, ...args];
    this.#process = spawn(first, rest, {
      env: { ...environment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
    });
    alive.add(this.#process);
    keepLines(this.#process.stdout, this.stdoutLines);
    keepLines(this.#process.stderr, this.stderrLines);
    this.ended = new Promise((resolve, reject) => {
      this.#process.once('error', reject);
      this.#process.once('close', (code: number | null, signal: NodeJS.Signals | null) => {
        alive.delete(this.#process);
        this.#end = { code, signal };
        resolve(this.#end);
      });
    });
    // A program that cannot be started is reported to whoever awaits its end.
    this.ended.catch(() => undefined);
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw new Error('the process could not be started');
    return pid;
  }

  /** null while it runs. */
  get end(): ChildEnd | null {
    return this.#end;
  }

  get output(): string {
    return [...this.stdoutLines, ...this.stderrLines].join('\n');
  }

  async signal(signal: NodeJS.Signals): Promise<ChildEnd> {
    this.#process.kill(signal);
    return this.ended;
  }

  /** Asks it to end, and ends it where it does not. */
  async stop(graceMs = 10_000, signal: NodeJS.Signals = 'SIGTERM'): Promise<ChildEnd> {
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), graceMs);
    try {
      return await this.signal(signal);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** INGOT_* of the shell that runs the tests are settings of nobody here. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('INGOT_'));
  return Object.fromEntries(kept);
}

function keepLines(stream: NodeJS.ReadableStream | null, lines: string[]): void {
  if (stream === null) return;
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) =>
    lines.push(line),
  );
}
