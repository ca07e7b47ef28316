/** Control clients of the nodes in the map, one per address, opened when first asked for. */
import { addressOf, type ClusterMap, type MapNode } from '../shared/map.ts';
import { ControlClient } from './control-client.ts';

export class Peers {
  readonly #clusterId: string;
  readonly #clients = new Map<string, ControlClient>();

  constructor(clusterId: string) {
    this.#clusterId = clusterId;
  }

  client(node: MapNode): ControlClient {
    const address = addressOf(node, 'control');
    let client = this.#clients.get(address);
    if (client === undefined) {
      client = new ControlClient(address, this.#clusterId);
      this.#clients.set(address, client);
    }
    return client;
  }

  /** Closes the clients of addresses that the map no longer lists. */
  follow(map: ClusterMap): void {
    const listed = new Set(map.nodes.map((node) => addressOf(node, 'control')));
    for (const [address, client] of this.#clients) {
      if (listed.has(address)) continue;
      client.close();
      this.#clients.delete(address);
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }
}
