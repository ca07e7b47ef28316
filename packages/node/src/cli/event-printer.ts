/** The log lines of the nodes of `ingot up`, as one readable line per event.
 *  While nodes start and stop only errors are news: the table, or the end, says the rest. */
import { lineFormatter } from '../shared/log.ts';
import { LineFolder } from './line-folder.ts';

/** Lines of this long are folded together, see line-folder.ts. */
const FOLD_MS = 200;

/** pino's numbers for levels. */
const EVERYTHING = 0;
const ERRORS = 50;

export class EventPrinter {
  readonly #folder: LineFolder;
  #threshold = ERRORS;
  #flushTimer: NodeJS.Timeout | null = null;

  constructor(print: (text: string) => void, colorize: boolean) {
    const readable = lineFormatter(colorize);
    this.#folder = new LineFolder((line) => print(readable(line).trimEnd()));
  }

  add(line: string): void {
    if (levelOf(line) < this.#threshold) return;
    if (this.#folder.add(line)) this.#flushTimer ??= setTimeout(() => this.#flush(), FOLD_MS);
  }

  everything(): void {
    this.#threshold = EVERYTHING;
  }

  onlyErrors(): void {
    this.#flush();
    this.#threshold = ERRORS;
  }

  #flush(): void {
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    this.#flushTimer = null;
    this.#folder.flush();
  }
}

/** What is no log line at all is always worth a look. */
function levelOf(line: string): number {
  try {
    return (JSON.parse(line) as { level: number }).level;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
