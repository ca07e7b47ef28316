/** Ends with npm, where npm started us.
 *
 *  npm and npx start a command as npm -> sh -> command. A SIGTERM that npm passes on ends the shell
 *  alone, a SIGKILL of npm reaches nobody, and the command would go on with nobody to end it. So it
 *  looks, now and then, whether both are still above it. Whoever wants it to outlive npm starts it
 *  in a session of its own (setsid); then this does nothing. Linux only, as is /proc. */
import { readFileSync } from 'node:fs';

const LOOK_EVERY_MS = 500;

/** Calls `onGone` once, when npm or the shell between has ended. Does not keep the process
 *  alive. */
export function watchNpm(onGone: () => void): void {
  const self = processOf(process.pid);
  const shell = self === null ? null : processOf(self.parent);
  if (self === null || shell === null || shell.session !== self.session) return;
  if (!isNpm(shell.parent)) return;
  const timer = setInterval(() => {
    const isThere = process.ppid === self.parent && processOf(self.parent)?.parent === shell.parent;
    if (isThere) return;
    clearInterval(timer);
    onGone();
  }, LOOK_EVERY_MS);
  timer.unref();
}

interface Process {
  readonly parent: number;
  readonly session: number;
}

/** proc(5): pid (comm) state ppid pgrp session …; comm may hold anything, parentheses too. */
function processOf(pid: number): Process | null {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === null) return null;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(fields[1]), session: Number(fields[3]) };
}

/** npm calls itself `npm start`, `npm exec …`. */
function isNpm(pid: number): boolean {
  return read(`/proc/${pid}/cmdline`)?.startsWith('npm ') ?? false;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
