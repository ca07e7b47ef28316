import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lockDataDir } from './data-dir-lock.ts';

let dir: string;
let child: ChildProcess | null = null;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ingot-lock-'));
});

afterEach(() => {
  child?.kill('SIGKILL');
  child = null;
  rmSync(dir, { recursive: true, force: true });
});

/** Another process takes the lock and keeps it until it is killed. */
async function lockElsewhere(): Promise<ChildProcess> {
  const module = new URL('./data-dir-lock.ts', import.meta.url).href;
  const code = `import { lockDataDir } from ${JSON.stringify(module)};
    lockDataDir(${JSON.stringify(dir)}); console.log('locked'); setInterval(() => {}, 1000);`;
  child = spawn(process.execPath, ['--conditions=source', '--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

describe('data dir lock', () => {
  test('a dir that another process holds is refused, and that process is named', async () => {
    const { pid } = await lockElsewhere();
    expect(() => lockDataDir(dir)).toThrow(
      expect.objectContaining({
        code: 'DATA_DIR_LOCKED',
        exitCode: 4,
        message: expect.stringContaining(`process ${pid}`),
      }),
    );
    expect(readdirSync(dir)).toHaveLength(1);
  });

  test('kill -9 of the holder frees it', async () => {
    const holder = await lockElsewhere();
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    lockDataDir(dir).release();
    expect(readdirSync(dir)).toEqual([]);
  });

  test('a lock whose pid now belongs to a younger process is stale', () => {
    writeFileSync(join(dir, `lock-${process.ppid}-1`), '');
    const lock = lockDataDir(dir);
    expect(readdirSync(dir)).toEqual([expect.stringContaining(`lock-${process.pid}-`)]);
    lock.release();
  });

  test('one process cannot hold it twice', () => {
    const lock = lockDataDir(dir);
    expect(() => lockDataDir(dir)).toThrow(`process ${process.pid}`);
    lock.release();
    lockDataDir(dir).release();
  });

  test('other files in the dir are left alone', () => {
    writeFileSync(join(dir, 'lock-file.txt'), '');
    lockDataDir(dir).release();
    expect(existsSync(join(dir, 'lock-file.txt'))).toBe(true);
  });
});
