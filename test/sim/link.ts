/** The way between two nodes: how fast, how far, and whether it is there at all. All connections of the pair share it. */

export class Link {
  /** Names of both nodes, in order. */
  readonly name: string;
  down = false;
  stalledUntilMs = 0;
  latencyMs = 0.3;
  bytesPerMs = 200_000;

  constructor(a: string, b: string) {
    this.name = linkName(a, b);
  }

  heal(): void {
    this.down = false;
    this.stalledUntilMs = 0;
    this.latencyMs = 0.3;
    this.bytesPerMs = 200_000;
  }
}

export function linkName(a: string, b: string): string {
  return [a, b].sort().join('-');
}
