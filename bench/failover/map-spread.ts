/** How long a change of the map takes from the first node that applies it to the last, as their logs tell. A node that
 *  skips a version knows it when it applies a later one. */

import type { LogLine, TestNode } from '../../test/support/local-cluster.ts';

export class MapSpread {
  readonly #nodes: readonly TestNode[];
  readonly #sinceMs: number;

  /** From now on; all nodes run. */
  constructor(nodes: readonly TestNode[]) {
    this.#nodes = nodes;
    this.#sinceMs = Date.now();
  }

  /** Of each change that every node knows by now, in ms. Ask while all nodes still run. */
  taken(): number[] {
    const known = this.#nodes.map((node) => this.#knownBy(node));
    const highest = Math.min(...known.map((versions) => versions.at(-1)?.version ?? 0));
    const lowest = Math.max(...known.map((versions) => versions[0]?.version ?? Infinity));
    const spreads: number[] = [];
    for (let version = lowest; version <= highest; version++) {
      const times = known.map((versions) => versions.find((each) => each.version >= version));
      const atMs = times.map((time) => time?.atMs ?? Number.NaN);
      spreads.push(Math.max(...atMs) - Math.min(...atMs));
    }
    return spreads;
  }

  #knownBy(node: TestNode): { version: number; atMs: number }[] {
    const isNew = (line: LogLine): boolean =>
      line.event === 'map.applied' && Number(line['time']) >= this.#sinceMs;
    return node.log
      .filter(isNew)
      .map((line) => ({ version: Number(line['version']), atMs: Number(line['time']) }));
  }
}
