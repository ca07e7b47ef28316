/** One process per data dir, without a lock that a crash can leave behind.
 *
 *  Each process that wants the dir creates a file `lock-<pid>-<birth>` of its own, and only then
 *  looks at the files of others: a living one means that the dir is taken, a dead one is cleared
 *  away. Because everybody announces itself before it looks, two processes can never both go on.
 *  `birth` is the kernel's start time of the process, so a pid that has been given to some other
 *  process (pid 1 of each new container, above all) does not pass for the old one. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { refusal } from '../shared/errors.ts';

const lockName = /^lock-(?<pid>\d+)-(?<birth>\d+)$/;

export interface DataDirLock {
  release(): void;
}

/** Throws an IngotError that names the pid where another process holds the dir. */
export function lockDataDir(dataDir: string): DataDirLock {
  const own = `lock-${process.pid}-${birthOf(process.pid) ?? 0}`;
  const ownPath = join(dataDir, own);
  try {
    writeFileSync(ownPath, '', { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw taken(dataDir, process.pid);
    throw error;
  }
  for (const other of readdirSync(dataDir)) {
    const groups = other === own ? undefined : lockName.exec(other)?.groups;
    if (groups === undefined) continue;
    if (isAlive(Number(groups.pid), Number(groups.birth))) {
      rmSync(ownPath);
      throw taken(dataDir, Number(groups.pid));
    }
    rmSync(join(dataDir, other), { force: true });
  }
  return { release: () => rmSync(ownPath, { force: true }) };
}

function taken(dataDir: string, pid: number): Error {
  return refusal(
    'DATA_DIR_LOCKED',
    `the data dir ${dataDir} is in use by process ${pid}; ` +
      'stop that process or choose another --data-dir',
  );
}

function isAlive(pid: number, birth: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return birth === 0 || birthOf(pid) === birth;
}

/** Start time in kernel ticks since boot; null where there is no /proc, and of a process that has
 *  ended and merely waits to be reaped. See proc_pid_stat(5): the name in brackets may hold
 *  anything. */
function birthOf(pid: number): number | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null;
  }
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' ? null : Number(fields[18]);
}
