/** What a fuzzer has seen, by name: what must not stay at 0 is known from the beginning. */
export class Tally {
  cases = 0;
  readonly #counts: Map<string, number>;

  constructor(names: readonly string[]) {
    this.#counts = new Map(names.map((name) => [name, 0]));
  }

  case(): void {
    this.cases++;
  }

  count(name: string, more = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + more);
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** What never came. */
  get missing(): string[] {
    return [...this.#counts].filter(([, count]) => count === 0).map(([name]) => name);
  }

  /** Names and counts in columns, those that came least first. */
  get text(): string {
    const rows = [...this.#counts].sort(([, a], [, b]) => a - b);
    return rows.map(([name, count]) => `  ${String(count).padStart(9)}  ${name}`).join('\n');
  }
}
