/** What a comparison has drawn: replies by protocol, by how commands were sent, and whether a
 *  transaction held them; and for each command, how often it came and how often it was refused. */
import type { Answered } from './compare.ts';
import type { Sequence } from './sequences.ts';

const ERROR = '-'.charCodeAt(0);
const QUEUED = '+QUEUED';

export class Coverage {
  replies = 0;
  /** By kind, as `kinds` names them. */
  readonly #kinds = new Map<string, number>();
  readonly #commands = new Map<string, { drawn: number; refused: number }>();

  add({ protocol, pipelined }: Sequence, answered: readonly Answered[]): void {
    const sent = pipelined ? 'pipelined' : 'one by one';
    for (const { words, theirs } of answered) {
      this.replies++;
      const isQueued = theirs.toString('latin1', 0, QUEUED.length) === QUEUED;
      const kind = `RESP${protocol}, ${sent}, ${isQueued ? 'in MULTI' : 'alone'}`;
      this.#kinds.set(kind, (this.#kinds.get(kind) ?? 0) + 1);
      const name = words[0].toString().toUpperCase();
      const counts = this.#commands.get(name) ?? { drawn: 0, refused: 0 };
      counts.drawn++;
      if (theirs[0] === ERROR) counts.refused++;
      this.#commands.set(name, counts);
    }
  }

  /** Replies of each kind; all eight are there. */
  get kinds(): ReadonlyMap<string, number> {
    const all = [2, 3].flatMap((protocol) =>
      ['pipelined', 'one by one'].flatMap((sent) =>
        ['alone', 'in MULTI'].map((where) => `RESP${protocol}, ${sent}, ${where}`),
      ),
    );
    return new Map(all.map((kind) => [kind, this.#kinds.get(kind) ?? 0]));
  }

  /** How often a command was answered, other than by an error. */
  granted(name: string): number {
    const counts = this.#commands.get(name.toUpperCase());
    return counts === undefined ? 0 : counts.drawn - counts.refused;
  }

  describe(): string {
    const kinds = [...this.kinds].map(([kind, count]) => `  ${kind}: ${count}`);
    const commands = [...this.#commands]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { drawn, refused }]) => `${JSON.stringify(name)} ${drawn} (${refused})`);
    return [
      `${this.replies} replies, of which`,
      ...kinds,
      'commands, how often each (and how often refused):',
      `  ${commands.join(', ')}`,
    ].join('\n');
  }
}
