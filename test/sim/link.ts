/** The way between two nodes: how fast, how far, and whether it is there at all. All connections of the pair share it. */

export class Link {
  /** Names of both nodes, in order. */
  readonly name: string;
  down = false;
  stalledUntilMs = 0;
  latencyMs = 0.3;
  bytesPerMs = 15_000;
  /** The connection that next sends so many CHUNK frames is cut in the middle of the last of them; 0 = none. */
  cutAtChunk = 0;
  /** The link stays down for so long after such a cut. */
  downAfterCutMs = 0;
  /** A bit of the next CHUNK payload is flipped. */
  flipsChunk = false;

  constructor(a: string, b: string) {
    this.name = linkName(a, b);
  }

  heal(): void {
    this.down = false;
    this.stalledUntilMs = 0;
    this.cutAtChunk = 0;
    this.downAfterCutMs = 0;
    this.flipsChunk = false;
    this.latencyMs = 0.3;
    this.bytesPerMs = 15_000;
  }
}

export function linkName(a: string, b: string): string {
  return [a, b].sort().join('-');
}
