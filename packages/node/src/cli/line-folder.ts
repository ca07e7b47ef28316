/** Log lines of many partitions, folded into one: what happens to a node happens to its partitions
 *  together, and 40 lines that differ in a number alone hide the one that matters.
 *
 *  Lines that are equal but for time and partition are held back until `flush` and leave as one,
 *  with the partitions listed; any other line leaves at once, behind what was held. Knows no clock:
 *  whoever owns it flushes soon after `add` says that something is held. */

interface Held {
  readonly record: Readonly<Record<string, unknown>>;
  readonly partitions: number[];
}

export class LineFolder {
  readonly #emit: (jsonLine: string) => void;
  readonly #held = new Map<string, Held>();

  constructor(emit: (jsonLine: string) => void) {
    this.#emit = emit;
  }

  /** Takes one line, JSON or not. True: something is held and wants a `flush` soon. */
  add(line: string): boolean {
    const record = parse(line);
    if (typeof record?.['partition'] === 'number') this.#hold(record, record['partition']);
    else {
      this.flush();
      this.#emit(line);
    }
    return this.#held.size > 0;
  }

  flush(): void {
    for (const { record, partitions } of this.#held.values()) {
      const { partition, ...rest } = record;
      const which = partitions.length === 1 ? { partition } : { partitions: ranges(partitions) };
      this.#emit(JSON.stringify({ ...rest, ...which }));
    }
    this.#held.clear();
  }

  #hold(record: Readonly<Record<string, unknown>>, partition: number): void {
    const key = JSON.stringify({ ...record, time: 0, partition: 0 });
    const held = this.#held.get(key);
    if (held === undefined) this.#held.set(key, { record, partitions: [partition] });
    else if (!held.partitions.includes(partition)) held.partitions.push(partition);
  }
}

/** [1, 2, 3, 7] -> "1-3, 7" */
function ranges(numbers: readonly number[]): string {
  const parts: [from: number, to: number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ');
}

function parse(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : null;
  } catch {
    return null;
  }
}
