/** What a node has logged since a moment. */
import { eventually } from '../support/eventually.ts';
import type { LogLine, TestNode } from '../support/local-cluster.ts';

export class LogWatch {
  readonly #node: TestNode;
  readonly #from: number;

  /** From now on. */
  constructor(node: TestNode) {
    this.#node = node;
    this.#from = node.log.length;
  }

  lines(event: string): LogLine[] {
    return this.#node.log.slice(this.#from).filter((line) => line.event === event);
  }

  /** Waits for a line of this event with these fields. */
  async logs(event: string, fields: Readonly<Record<string, unknown>> = {}): Promise<LogLine> {
    return eventually(`${this.#node.id} logs ${event} ${JSON.stringify(fields)}`, () => {
      const lines = this.lines(event);
      const found = lines.find((line) =>
        Object.entries(fields).every(([name, value]) => line[name] === value),
      );
      if (found === undefined) throw new Error(`so far ${JSON.stringify(lines)}`);
      return found;
    });
  }
}
