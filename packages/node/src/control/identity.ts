/** Who this node is, across restarts: kept in LMDB under the data dir, next to the lock that makes
 *  this process its only user. Holds the node id, the cluster id, the last incarnation and the last
 *  map seen (where to look for the others); beside it, the file of the node's acceptor.
 *  Writes are few and small, and made at once: lmdb's `put` rejects promises of its own, that nobody can
 *  handle, where the disk is full.
 *  Invariant: once a data dir belongs to a node of a cluster it never belongs to another. */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { IngotError, refusal } from '../shared/errors.ts';
import { type ClusterMap, type NodeId, parseClusterMap } from '../shared/map.ts';
import { type DataDirLock, lockDataDir } from './data-dir-lock.ts';
import { LmdbAcceptorStorage } from '../register/lmdb-acceptor-storage.ts';

export interface Membership {
  nodeId: NodeId;
  clusterId: string;
  /** The last life of this node that the map knew of. */
  incarnation: number;
}

const membershipKey = 'membership';
const lastMapKey = 'lastMap';

export class Identity {
  readonly dataDir: string;
  readonly acceptorStorage: LmdbAcceptorStorage;
  readonly #root: RootDatabase;
  readonly #facts: Database<unknown, string>;
  readonly #lock: DataDirLock;

  constructor(dataDir: string, lock: DataDirLock) {
    this.dataDir = dataDir;
    this.#lock = lock;
    this.#root = open({ path: join(dataDir, 'control.mdb'), encoding: 'json' });
    this.#facts = this.#root.openDB('identity', { encoding: 'json' });
    this.acceptorStorage = new LmdbAcceptorStorage(join(dataDir, 'acceptor.mdb'));
  }

  /** null as long as the data dir belongs to no cluster. */
  membership(): Membership | null {
    return (this.#facts.get(membershipKey) as Membership | undefined) ?? null;
  }

  /** Id of this data dir's acceptor: random, born with the acceptor's file. */
  acceptor(): string {
    return this.acceptorStorage.id;
  }

  /** The newest map that this node saved; null before it joined. */
  lastMap(): ClusterMap | null {
    const map = this.#facts.get(lastMapKey);
    return map === undefined ? null : parseClusterMap(map);
  }

  /** Makes this the data dir of a founder, whose acceptor has accepted the first map. On disk when it
   *  resolves. The cluster begins with the last write: before that nobody has heard of it. */
  async found(membership: Membership, map: ClusterMap): Promise<void> {
    const { promised } = this.acceptorStorage.load();
    const ballot = { round: promised.round + 1, proposer: membership.nodeId };
    this.acceptorStorage.putAccepted({ ballot, map });
    await this.acceptorStorage.flushed();
    await this.enter(membership, map);
  }

  /** This life is in that map. On disk when it resolves, all of it or nothing. */
  async enter(membership: Membership, map: ClusterMap): Promise<void> {
    this.#root.transactionSync(() => {
      this.#facts.putSync(lastMapKey, map);
      this.#facts.putSync(membershipKey, membership);
    });
    await this.#root.flushed;
  }

  /** A hint for the next start: nobody waits until it is on disk. Throws where the disk refuses it. */
  saveMap(map: ClusterMap): void {
    this.#facts.putSync(lastMapKey, map);
  }

  async close(): Promise<void> {
    await this.acceptorStorage.close();
    await this.#root.close();
    this.#lock.release();
  }
}

/** Locks and opens a data dir, creating it where needed. Throws an IngotError when another process
 *  uses it, when it cannot be written, or when it is the data dir of another node. */
export async function openIdentity(dataDir: string, nodeId: NodeId): Promise<Identity> {
  const identity = lockAndOpen(dataDir);
  const owner = identity.membership()?.nodeId ?? nodeId;
  if (owner === nodeId) return identity;
  await identity.close();
  throw refusal(
    'DATA_DIR_OF_OTHER_NODE',
    `the data dir ${dataDir} belongs to node ${owner}; ` +
      `start with --id ${owner} or choose another --data-dir`,
  );
}

function lockAndOpen(dataDir: string): Identity {
  let lock: DataDirLock | null = null;
  try {
    makeFolder(dataDir);
    accessSync(dataDir, constants.W_OK | constants.X_OK);
    lock = lockDataDir(dataDir);
    return new Identity(dataDir, lock);
  } catch (error) {
    lock?.release();
    if (error instanceof IngotError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw refusal(
      'DATA_DIR_UNUSABLE',
      `the data dir ${dataDir} cannot be written (${code ?? message}); ` +
        'fix its permissions or choose another --data-dir',
    );
  }
}

/** Step by step, because mkdir's `recursive` goes round in circles for ever where the parent is
 *  there and the kernel says of the child that it has none, as below /proc. */
function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  const parent = dirname(path);
  if (parent !== path) makeFolder(parent);
  mkdirSync(path);
}
