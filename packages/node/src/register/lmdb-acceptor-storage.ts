/** An acceptor's memory in an LMDB file of its own, so that no other write waits for its flushes.
 *  Each put is a transaction that ends with fdatasync, not one of those that lmdb flushes later: an
 *  answer must not leave before, and with `overlappingSync` off nothing depends on when lmdb gets
 *  round to it. Owner: the main thread of the process that holds the data dir's lock. */
import { randomUUID } from 'node:crypto';
import { type Database, open } from 'lmdb';
import { type Life, type NodeId, parseClusterMap } from '../shared/map.ts';
import type { AcceptorState, AcceptorStorage } from './acceptor.ts';
import type { AcceptedMap, Ballot } from './acceptor-calls.ts';
import { noBallot } from './ballots.ts';

const idKey = 'id';
const promisedKey = 'promised';
const acceptedKey = 'accepted';
const fencePrefix = 'fence:';

export class LmdbAcceptorStorage implements AcceptorStorage {
  readonly id: string;
  readonly #file: Database<unknown, string>;

  /** Creates the file where there is none. */
  constructor(path: string) {
    this.#file = open({ path, encoding: 'json', overlappingSync: false });
    this.id = (this.#file.get(idKey) as string | undefined) ?? this.#born();
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
    this.#file.putSync(promisedKey, ballot);
  }

  putAccepted(accepted: AcceptedMap): void {
    this.#file.putSync(acceptedKey, accepted);
  }

  putFence({ node, incarnation }: Life): void {
    this.#file.putSync(fencePrefix + node, incarnation);
  }

  async flushed(): Promise<void> {
    await this.#file.flushed;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #born(): string {
    const id = randomUUID();
    this.#file.putSync(idKey, id);
    return id;
  }
}
