/** Keeps free memory warm for whoever is measured, in a process of its own.
 *
 *  Where a virtual machine gives free memory back to its host, the first touch of a page costs a trip to
 *  the host, ten to a hundred times what the kernel needs to zero it, and says nothing about either
 *  server. So this process touches memory beforehand and, from the moment at which a copy begins, lets go
 *  of it as free memory shrinks: a little ahead of the need, because what lies free for two seconds is
 *  given back again. Both sides get it alike; `--cold` does without. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

const BLOCK_BYTES = 32 << 20;
/** What is kept free, beyond what was free when the copy began. */
const AHEAD_BYTES = 384 << 20;
const LOOK_MS = 2;

export interface WarmMemory {
  /** Touches memory until all of it is held again, and holds it. */
  fill(): Promise<void>;
  /** A copy begins: what it takes is replaced from now on. */
  release(): void;
  stop(): void;
}

export async function keepWarm(bytes: number): Promise<WarmMemory> {
  const child = fork(import.meta.filename, [String(bytes)], {
    env: { ...process.env, GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' },
  });
  await once(child, 'message');
  return {
    fill: async () => {
      child.send('fill');
      await once(child, 'message');
    },
    release: () => child.send('release'),
    stop: () => child.kill('SIGKILL'),
  };
}

/** Nothing is kept. */
export const COLD: WarmMemory = {
  fill: () => Promise.resolve(),
  release: () => {},
  stop: () => {},
};

function hold(blockCount: number): void {
  const blocks: ArrayBuffer[] = [];
  let enoughFreeBytes = 0;
  process.on('message', (message) => {
    if (message === 'release') {
      enoughFreeBytes = freeBytes() + AHEAD_BYTES;
      return;
    }
    enoughFreeBytes = 0;
    while (blocks.length < blockCount) {
      const block = new ArrayBuffer(BLOCK_BYTES);
      new Uint8Array(block).fill(1);
      blocks.push(block);
    }
    process.send?.('filled');
  });
  process.on('disconnect', () => process.exit());
  setInterval(() => {
    // `transfer` frees the block now, not when it is collected.
    while (freeBytes() < enoughFreeBytes && blocks.length > 0) blocks.pop()?.transfer(0);
  }, LOOK_MS);
  process.send?.('ready');
}

function freeBytes(): number {
  return Number(/^MemFree:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) * 1024;
}

if (process.argv[1] === import.meta.filename) hold(Number(process.argv[2]) / BLOCK_BYTES);
