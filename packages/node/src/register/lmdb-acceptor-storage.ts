/** An acceptor's memory in an LMDB file of its own, so that no other write waits for its flushes.
 *  A put is written by a thread of lmdb's, in a transaction that ends with fdatasync, so a slow disk holds up
 *  the answers that rest on it and nothing else: heartbeats go on. `overlappingSync` is off, so that a
 *  transaction is on disk once its promise resolves. `eventTurnBatching` is off because with it lmdb
 *  makes promises that nobody can handle, and that reject where the disk is full.
 *  The file knows itself, by its inode and its birth: a copy of it, such as one from a backup, may have
 *  forgotten what it has promised since, so it is the file of another acceptor, with another id. Only
 *  where that would leave nobody to decide, because it decides alone, it goes on, and says so.
 *  Owner: the main thread of the process that holds the data dir's lock. */
import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { type Database, open } from 'lmdb';
import { type Life, type NodeId, parseClusterMap } from '../shared/map.ts';
import { type AcceptorState, type AcceptorStorage, NotWritten } from './acceptor.ts';
import type { AcceptedMap, Ballot } from './acceptor-calls.ts';
import { noBallot } from './ballots.ts';

const idKey = 'id';
const fileKey = 'file';
const promisedKey = 'promised';
const acceptedKey = 'accepted';
const fencePrefix = 'fence:';

interface FileMark {
  readonly inode: string;
  readonly bornNs: string;
}

export class LmdbAcceptorStorage implements AcceptorStorage {
  readonly id: string;
  /** The file is a copy of the one that the acceptor had: it is another one now, or decides alone. */
  readonly copied: 'begins anew' | 'goes on' | null;
  readonly #file: Database<unknown, string>;
  /** Whether what was put last is on disk: null, or why not. Transactions end in the order of puts. */
  #written: Promise<NotWritten | null> = Promise.resolve(null);

  /** Creates the file where there is none. */
  constructor(path: string) {
    this.#file = open({ path, encoding: 'json', overlappingSync: false, eventTurnBatching: false });
    const id = (this.#file.get(idKey) as string | undefined) ?? null;
    const mark = markOf(path);
    const isCopy = id !== null && isOther(this.#file.get(fileKey) as FileMark | undefined, mark);
    this.copied = isCopy ? (this.#decidesAlone(id) ? 'goes on' : 'begins anew') : null;
    this.id = id === null || this.copied === 'begins anew' ? this.#born(mark) : id;
    if (this.copied === 'goes on') this.#file.putSync(fileKey, mark);
  }

  /** Throws where the file holds no sound map. */
  load(): AcceptorState {
    const promised = (this.#file.get(promisedKey) as Ballot | undefined) ?? noBallot;
    const accepted = this.#file.get(acceptedKey) as AcceptedMap | undefined;
    const fences = this.#file
      .getRange({ start: fencePrefix, end: `${fencePrefix}\uffff` })
      .map(({ key, value }): [NodeId, number] => [key.slice(fencePrefix.length), value as number]);
    return {
      promised,
      accepted:
        accepted === undefined
          ? null
          : { ballot: accepted.ballot, map: parseClusterMap(accepted.map) },
      fences: new Map(fences),
    };
  }

  putPromised(ballot: Ballot): void {
    this.#put(promisedKey, ballot);
  }

  putAccepted(accepted: AcceptedMap): void {
    this.#put(acceptedKey, accepted);
  }

  putFence({ node, incarnation }: Life): void {
    this.#put(fencePrefix + node, incarnation);
  }

  async flushed(): Promise<void> {
    const failure = await this.#written;
    if (failure !== null) throw failure;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #put(key: string, value: unknown): void {
    this.#written = this.#file.put(key, value).then(() => null, whyNotWritten);
  }

  #decidesAlone(id: string): boolean {
    const acceptors = this.load().accepted?.map.acceptors;
    return acceptors?.next === null && acceptors.current.every((ref) => ref.id === id);
  }

  /** Nothing is left of an acceptor that was here before, but for its fences, which are true for ever. */
  #born(mark: FileMark): string {
    const id = randomUUID();
    this.#file.transactionSync(() => {
      for (const key of [promisedKey, acceptedKey]) this.#file.removeSync(key);
      this.#file.putSync(fileKey, mark);
      this.#file.putSync(idKey, id);
    });
    return id;
  }
}

function markOf(path: string): FileMark {
  const { ino, birthtimeNs } = statSync(path, { bigint: true });
  return { inode: String(ino), bornNs: String(birthtimeNs) };
}

/** Both differ: not every file system keeps both for as long as a file lives. */
function isOther(known: FileMark | undefined, { inode, bornNs }: FileMark): boolean {
  return known !== undefined && known.inode !== inode && known.bornNs !== bornNs;
}

/** lmdb says only later why a commit has failed. */
async function whyNotWritten(
  failure: Error & { commitError?: Promise<unknown> },
): Promise<NotWritten> {
  try {
    await failure.commitError;
    return new NotWritten(failure.message);
  } catch (error) {
    return new NotWritten((error as Error).message);
  }
}
