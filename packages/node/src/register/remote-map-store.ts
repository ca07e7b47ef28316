/** The founder's map, from another node, through gRPC. While the founder is away `read` rejects,
 *  proposals are 'unknown', and watches go on trying with a bounded backoff. */
import { IngotError } from '../shared/errors.ts';
import type { ClusterMap } from '../shared/map.ts';
import { Backoff } from '../control/backoff.ts';
import type { ControlClient } from '../control/control-client.ts';
import {
  checkProposal,
  type ClusterMapStore,
  type CompareAndSetOutcome,
  type VersionedMap,
} from './map-store.ts';
import { mapFromWire } from '../control/wire.ts';

const firstRetryMs = 100;
const lastRetryMs = 1_000;

export class RemoteMapStore implements ClusterMapStore {
  readonly #client: ControlClient;

  constructor(client: ControlClient) {
    this.#client = client;
  }

  async read(): Promise<VersionedMap> {
    const map = await this.#client.readMap();
    return { version: BigInt(map.version), map };
  }

  async compareAndSet(
    expected: bigint,
    next: ClusterMap,
    operationId: string,
  ): Promise<CompareAndSetOutcome> {
    checkProposal(expected, next, operationId);
    try {
      return await this.#client.compareAndSetMap(expected, next, operationId);
    } catch (error) {
      if (error instanceof IngotError) throw error;
      return 'unknown';
    }
  }

  watch(from: bigint, onMap: (map: ClusterMap) => void): () => void {
    const watch = new Watch(this.#client, from, onMap);
    watch.open();
    return () => watch.close();
  }
}

/** One watch, over as many streams as it takes. */
class Watch {
  readonly #client: ControlClient;
  readonly #onMap: (map: ClusterMap) => void;
  readonly #backoff = new Backoff(firstRetryMs, lastRetryMs);
  #seen: bigint;
  #cancel: () => void = () => undefined;
  #closed = false;

  constructor(client: ControlClient, from: bigint, onMap: (map: ClusterMap) => void) {
    this.#client = client;
    this.#seen = from;
    this.#onMap = onMap;
  }

  open(): void {
    const stream = this.#client.watchMap(this.#seen);
    this.#cancel = () => stream.cancel();
    stream.on('data', ({ mapJson }) => {
      this.#backoff.succeeded();
      const map = mapFromWire(mapJson);
      if (this.#closed || BigInt(map.version) <= this.#seen) return;
      this.#seen = BigInt(map.version);
      this.#onMap(map);
    });
    stream.on('error', () => undefined);
    // Comes once per call, however it ended.
    stream.on('status', () => this.#reopenLater());
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  #reopenLater(): void {
    if (this.#closed) return;
    const timer = setTimeout(() => this.open(), this.#backoff.failed());
    this.#cancel = () => clearTimeout(timer);
  }
}
