/** How `ingot status` in one terminal finds the secret of an `ingot up` in another: a folder of this
 *  user's alone holds a file per control port, which names the secret file. The secret itself stays
 *  where it is.
 *  Invariant: folder and file are believed only if they belong to this user and nobody else can
 *  write or read them, because the folder may lie where everybody can make one. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from './secret.ts';

const OTHERS = 0o077;

export interface Pointer {
  readonly controlPort: number;
  readonly secretFile: string;
  /** The `ingot up` that left it. */
  readonly pid: number;
}

export function runtimeFolder(environment: Environment): string {
  const runtime = environment['XDG_RUNTIME_DIR'] ?? '';
  return runtime === '' ? join(tmpdir(), `ingot-${userId()}`) : join(runtime, 'ingot');
}

/** Leaves a pointer for each port; the answer removes them. Where the folder is not this user's
 *  alone, `warn` is told and nothing is left. */
export function leavePointers(
  folder: string,
  controlPorts: readonly number[],
  secretFile: string,
  warn: (text: string) => void,
): () => void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch {
    // Said below.
  }
  if (!isOurs(folder, 'folder')) {
    warn(
      `${folder} is not a folder of this user's alone; ` +
        `"ingot status" will need --secret-file ${secretFile}`,
    );
    return () => undefined;
  }
  const paths = controlPorts.map((port) => join(folder, String(port)));
  for (const path of paths) {
    rmSync(path, { force: true });
    const content = JSON.stringify({ secretFile, pid: process.pid });
    writeFileSync(path, content, { mode: 0o600, flag: 'wx' });
  }
  return () => {
    for (const path of paths) rmSync(path, { force: true });
  };
}

/** What running `ingot up`s have left, lowest port first. */
export function pointersIn(folder: string): Pointer[] {
  if (!isOurs(folder, 'folder')) return [];
  const ports = readdirSync(folder).filter((name) => /^\d{1,5}$/.test(name));
  return ports
    .flatMap((port) => pointerAt(join(folder, port), Number(port)))
    .sort((a, b) => a.controlPort - b.controlPort);
}

function pointerAt(path: string, controlPort: number): Pointer[] {
  if (!isOurs(path, 'file')) return [];
  try {
    const parsed = JSON.parse(readFileSync(path, 'utf8')) as Partial<Pointer>;
    const { secretFile, pid } = parsed;
    if (typeof secretFile !== 'string' || typeof pid !== 'number' || !runs(pid)) return [];
    return [{ controlPort, secretFile, pid }];
  } catch {
    return []; // being written, or removed meanwhile
  }
}

/** No link, of this user, and closed to everybody else. */
function isOurs(path: string, kind: 'folder' | 'file'): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return false;
  const isOfKind = kind === 'folder' ? stat.isDirectory() : stat.isFile();
  return isOfKind && stat.uid === userId() && (stat.mode & OTHERS) === 0;
}

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function userId(): number {
  return process.getuid?.() ?? 0;
}
