/** Control clients of the nodes in the map, one per node and address, opened when first asked for;
 *  and of addresses of which nobody knows who is there. */
import { addressOf, type ClusterMap, type MapNode } from '../shared/map.ts';
import { ControlClient } from './control-client.ts';
import type { ControlAccess } from './peer-credentials.ts';

export class Peers {
  readonly #clusterId: string;
  readonly #access: ControlAccess;
  readonly #clients = new Map<string, ControlClient>();
  readonly #byAddress = new Map<string, ControlClient>();

  constructor(clusterId: string, access: ControlAccess) {
    this.#clusterId = clusterId;
    this.#access = access;
  }

  client(node: MapNode): ControlClient {
    const address = addressOf(node, 'control');
    const key = keyOf(node);
    let client = this.#clients.get(key);
    if (client === undefined) {
      client = new ControlClient(address, this.#clusterId, this.#access, node.id);
      this.#clients.set(key, client);
    }
    return client;
  }

  /** `address` is host:control port. */
  at(address: string): ControlClient {
    let client = this.#byAddress.get(address);
    if (client === undefined) {
      client = new ControlClient(address, this.#clusterId, this.#access);
      this.#byAddress.set(address, client);
    }
    return client;
  }

  /** Closes those of addresses. */
  forgetAddresses(): void {
    for (const client of this.#byAddress.values()) client.close();
    this.#byAddress.clear();
  }

  /** Closes the clients of nodes that the map no longer lists there. */
  follow(map: ClusterMap): void {
    const listed = new Set(map.nodes.map(keyOf));
    for (const [key, client] of this.#clients) {
      if (listed.has(key)) continue;
      client.close();
      this.#clients.delete(key);
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
    this.forgetAddresses();
  }
}

/** A client believes only the node that it was made for. */
const keyOf = (node: MapNode): string => `${node.id}@${addressOf(node, 'control')}`;
