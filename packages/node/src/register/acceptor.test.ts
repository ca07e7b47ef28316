import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { mapFoundedBy } from '../control/simulated-cluster.fixture.ts';
import type { ClusterMap, Life } from '../shared/map.ts';
import { Acceptor, NotWritten } from './acceptor.ts';
import type { AcceptedMap, Ballot } from './acceptor-calls.ts';
import { noBallot } from './ballots.ts';
import { LmdbAcceptorStorage } from './lmdb-acceptor-storage.ts';
import { MemoryAcceptorStorage } from './memory-acceptor-storage.ts';

const life: Life = { node: 'n1', incarnation: 3 };
const firstMap = mapFoundedBy('n1', { partitions: 2, copies: 1 });

const ballot = (round: number, proposer = 'p'): Ballot => ({ round, proposer });
const mapOf = (version: number): ClusterMap => ({ ...firstMap, version });

/** A disk that flushes when it is told to. */
function slowDisk(): { storage: MemoryAcceptorStorage; flush: () => void } {
  let next = Promise.withResolvers<void>();
  const storage = new MemoryAcceptorStorage('a1', () => next.promise);
  const flush = (): void => {
    next.resolve();
    next = Promise.withResolvers<void>();
  };
  return { storage, flush };
}

class FullDisk extends MemoryAcceptorStorage {
  isFull = true;

  override putPromised(promised: Ballot): void {
    this.#check();
    super.putPromised(promised);
  }

  override putAccepted(accepted: AcceptedMap): void {
    this.#check();
    super.putAccepted(accepted);
  }

  override putFence(fenced: Life): void {
    this.#check();
    super.putFence(fenced);
  }

  #check(): void {
    if (this.isFull) throw new Error('ENOSPC');
  }
}

/** Whether it has settled by now, microtasks included. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

describe('acceptor: ballots', () => {
  let acceptor: Acceptor;

  beforeEach(() => {
    acceptor = new Acceptor(new MemoryAcceptorStorage('a1'));
  });

  test('promises higher ballots only, and says what it promised', async () => {
    expect(await acceptor.prepare(life, ballot(2))).toEqual({ kind: 'promised', accepted: null });
    const outbid = { kind: 'outbid', ballot: ballot(2) };
    expect(await acceptor.prepare(life, ballot(1))).toEqual(outbid);
    expect(await acceptor.prepare(life, ballot(2))).toEqual(outbid);
    expect(await acceptor.prepare(life, ballot(2, 'a'))).toEqual(outbid);
    expect((await acceptor.prepare(life, ballot(2, 'q'))).kind).toBe('promised');
  });

  test('accepts nothing below its promise', async () => {
    await acceptor.prepare(life, ballot(5));
    const refused = await acceptor.accept(life, ballot(4), mapOf(1));
    expect(refused).toEqual({ kind: 'outbid', ballot: ballot(5) });
    expect(acceptor.accepted).toBeNull();
    expect(await acceptor.accept(life, ballot(5), mapOf(1))).toEqual({ kind: 'accepted' });
    expect(acceptor.accepted).toEqual(mapOf(1));
  });

  test('to accept is to promise, even to whom nothing was promised', async () => {
    await acceptor.accept(life, ballot(7), mapOf(1));
    expect(await acceptor.prepare(life, ballot(6))).toMatchObject({ kind: 'outbid' });
    expect(await acceptor.accept(life, ballot(6), mapOf(2))).toMatchObject({ kind: 'outbid' });
  });

  test('a promise tells of the map that was accepted last', async () => {
    await acceptor.accept(life, ballot(1), mapOf(1));
    await acceptor.accept(life, ballot(2), mapOf(2));
    const answer = await acceptor.prepare(life, ballot(3));
    expect(answer).toEqual({
      kind: 'promised',
      accepted: { ballot: ballot(2), map: mapOf(2) },
    });
  });

  test('tells those in its process what it accepts', async () => {
    const seen: number[] = [];
    acceptor.onAccepted((map) => seen.push(map.version));
    await acceptor.accept(life, ballot(1), mapOf(1));
    await acceptor.accept(life, ballot(2), mapOf(2));
    expect(seen).toEqual([1, 2]);
  });
});

describe('acceptor: fences', () => {
  let acceptor: Acceptor;

  beforeEach(() => {
    acceptor = new Acceptor(new MemoryAcceptorStorage('a1'));
  });

  test('a fenced life has no say, nor those before it; the next one has', async () => {
    await acceptor.fence(life);
    const fenced = { kind: 'fenced' };
    expect(await acceptor.prepare(life, ballot(1))).toEqual(fenced);
    expect(await acceptor.accept(life, ballot(1), mapOf(1))).toEqual(fenced);
    expect(await acceptor.prepare({ ...life, incarnation: 2 }, ballot(1))).toEqual(fenced);
    const next = { ...life, incarnation: 4 };
    expect((await acceptor.prepare(next, ballot(1))).kind).toBe('promised');
    const other = { node: 'n2', incarnation: 1 };
    expect((await acceptor.prepare(other, ballot(2))).kind).toBe('promised');
  });

  test('what the accepted map says is over is over', async () => {
    const [node] = firstMap.nodes;
    const map = { ...firstMap, nodes: [{ ...node, fencedThrough: 3 }] };
    await acceptor.accept({ node: 'n2', incarnation: 1 }, ballot(1), map);
    expect(await acceptor.prepare(life, ballot(2))).toEqual({ kind: 'fenced' });
    expect(acceptor.fencedThrough('n1')).toBe(3);
    expect(acceptor.isFenced({ ...life, incarnation: 4 })).toBe(false);
  });

  test('a fence is never taken back by one of an earlier life', async () => {
    await acceptor.fence(life);
    await acceptor.fence({ ...life, incarnation: 1 });
    expect(acceptor.isFenced(life)).toBe(true);
  });
});

describe('acceptor: disk', () => {
  test('no answer leaves before what it rests on is on disk', async () => {
    const { storage, flush } = slowDisk();
    const acceptor = new Acceptor(storage);
    const answers = [
      () => acceptor.prepare(life, ballot(1)),
      () => acceptor.accept(life, ballot(1), mapOf(1)),
      () => acceptor.fence({ node: 'n2', incarnation: 1 }),
    ];
    for (const ask of answers) {
      const answer = ask();
      expect(await isSettled(answer)).toBe(false);
      flush();
      expect(await isSettled(answer)).toBe(true);
    }
    storage.crash();
    const again = new Acceptor(storage);
    expect(again.accepted).toEqual(mapOf(1));
    expect(again.isFenced({ node: 'n2', incarnation: 1 })).toBe(true);
    expect((await again.prepare(life, ballot(1))).kind).toBe('outbid');
  });

  test('a fence that is being written already counts, and is waited for by who repeats it', async () => {
    const { storage, flush } = slowDisk();
    const acceptor = new Acceptor(storage);
    const first = acceptor.fence(life);
    expect(await acceptor.prepare(life, ballot(1))).toEqual({ kind: 'fenced' });
    const second = acceptor.fence(life);
    expect(await isSettled(second)).toBe(false);
    flush();
    expect(await isSettled(first)).toBe(true);
    expect(await isSettled(second)).toBe(true);
  });

  test('where nothing can be written nothing has changed', async () => {
    const storage = new FullDisk('a1');
    const told: (string | null)[] = [];
    const acceptor = new Acceptor(storage, (failure) => told.push(failure?.message ?? null));
    await expect(acceptor.prepare(life, ballot(9))).rejects.toThrow('ENOSPC');
    await expect(acceptor.accept(life, ballot(9), mapOf(9))).rejects.toThrow('ENOSPC');
    await expect(acceptor.fence(life)).rejects.toThrow('ENOSPC');
    storage.isFull = false;
    expect(await acceptor.prepare(life, ballot(1))).toEqual({ kind: 'promised', accepted: null });
    expect(told).toEqual(['ENOSPC', 'ENOSPC', 'ENOSPC', null]);
  });

  test('what came to nothing on disk is answered by nobody, and may be tried again', async () => {
    let isFull = true;
    const storage = new MemoryAcceptorStorage('a1', async () => {
      if (isFull) throw new NotWritten('ENOSPC');
    });
    const acceptor = new Acceptor(storage);
    await expect(acceptor.prepare(life, ballot(1))).rejects.toThrow('ENOSPC');
    await expect(acceptor.accept(life, ballot(1), mapOf(1))).rejects.toThrow('ENOSPC');
    await expect(acceptor.fence({ node: 'n2', incarnation: 1 })).rejects.toThrow('ENOSPC');
    isFull = false;
    expect((await acceptor.prepare(life, ballot(2))).kind).toBe('promised');
    expect((await acceptor.accept(life, ballot(2), mapOf(2))).kind).toBe('accepted');
    storage.crash();
    expect(new Acceptor(storage).accepted).toEqual(mapOf(2));
  });

  test('a fence that came to nothing is written again, whatever was written since', async () => {
    const put: string[] = [];
    let isFull = true;
    const storage = new MemoryAcceptorStorage('a1', async () => {
      if (isFull) throw new NotWritten('ENOSPC');
    });
    const putFence = storage.putFence.bind(storage);
    storage.putFence = (fenced) => {
      put.push(`${fenced.node}:${fenced.incarnation}`);
      putFence(fenced);
    };
    const acceptor = new Acceptor(storage);
    await expect(acceptor.fence(life)).rejects.toThrow('ENOSPC');
    isFull = false;
    await acceptor.fence(life);
    await acceptor.fence(life);
    expect(put).toEqual([`n1:${life.incarnation}`, `n1:${life.incarnation}`]);
  });

  test('a disk that failed to flush is not believed again', async () => {
    let isBroken = true;
    const storage = new MemoryAcceptorStorage('a1', async () => {
      if (isBroken) throw new Error('EIO');
    });
    const acceptor = new Acceptor(storage);
    await expect(acceptor.prepare(life, ballot(1))).rejects.toThrow('EIO');
    isBroken = false;
    await expect(acceptor.prepare(life, ballot(2))).rejects.toThrow('EIO');
    await expect(acceptor.accept(life, ballot(2), mapOf(1))).rejects.toThrow('EIO');
    await expect(acceptor.fence(life)).rejects.toThrow('EIO');
  });
});

describe('acceptor: LMDB', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ingot-acceptor-'));
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  test('promise, map, fences and name are there after a restart; a new file is a stranger', async () => {
    const path = join(folder, 'acceptor.mdb');
    const first = new LmdbAcceptorStorage(path);
    const acceptor = new Acceptor(first);
    await acceptor.accept(life, ballot(4, 'n1'), mapOf(6));
    await acceptor.fence({ node: 'n-2', incarnation: 5 });
    await acceptor.fence({ node: 'n-2', incarnation: 7 });
    await acceptor.prepare(life, ballot(8, 'n2'));
    const state = first.load();
    expect(state).toEqual({
      promised: ballot(8, 'n2'),
      accepted: { ballot: ballot(4, 'n1'), map: mapOf(6) },
      fences: new Map([['n-2', 7]]),
    });
    await first.close();

    const second = new LmdbAcceptorStorage(path);
    expect(second.id).toBe(first.id);
    expect(second.load()).toEqual(state);
    await second.close();
    const other = new LmdbAcceptorStorage(join(folder, 'other.mdb'));
    expect(other.id).not.toBe(first.id);
    await other.close();
  });

  /** A file is moved, and put back from a copy. */
  async function afterCopy(
    decidesAlone: boolean,
  ): Promise<{ moved: LmdbAcceptorStorage; copy: LmdbAcceptorStorage }> {
    const file = (name: string): string => join(folder, `${name}.mdb`);
    const first = new LmdbAcceptorStorage(file('first'));
    const others = decidesAlone ? [] : firstMap.acceptors.current;
    const current = [...others, { id: first.id, node: 'n1' }];
    const acceptor = new Acceptor(first);
    await acceptor.accept(life, ballot(4), { ...mapOf(6), acceptors: { current, next: null } });
    await acceptor.fence({ node: 'n2', incarnation: 5 });
    await first.close();
    renameSync(file('first'), file('moved'));
    cpSync(file('moved'), file('copy'));
    const moved = new LmdbAcceptorStorage(file('moved'));
    expect(moved).toMatchObject({ id: first.id, copied: null });
    return { moved, copy: new LmdbAcceptorStorage(file('copy')) };
  }

  test('a copy of the file is another acceptor, which has promised and accepted nothing', async () => {
    const { moved, copy } = await afterCopy(false);
    expect(copy.copied).toBe('begins anew');
    expect(copy.id).not.toBe(moved.id);
    const fences = new Map([['n2', 5]]);
    expect(copy.load()).toEqual({ promised: noBallot, accepted: null, fences });
    await Promise.all([moved.close(), copy.close()]);
  });

  test('... but where it decides alone it goes on: nobody else could let it in again', async () => {
    const { moved, copy } = await afterCopy(true);
    expect(copy).toMatchObject({ id: moved.id, copied: 'goes on' });
    expect(copy.load().accepted?.map.version).toBe(6);
    await Promise.all([moved.close(), copy.close()]);
  });
});
