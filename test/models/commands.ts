/** What a model may do: every call of a shared map and what goes on beside it, each as a row. A run is a list of them; it
 *  shrinks to the shortest that still fails, and prints as it stands:
 *
 *      set {"key":"k3","bytes":70000,"salt":12,"ttlMs":5}, wait {"ms":5}, append {"key":"k3","bytes":1,"salt":0} */
import fc from 'fast-check';
import { CHANGES } from './changes.ts';
import { READS } from './reads.ts';
import { TYPED } from './typed.ts';
import { UPKEEP } from './upkeep.ts';
import type { Row } from './row.ts';
import { World } from './world.ts';

const ROWS: readonly Row[] = [...CHANGES, ...READS, ...TYPED, ...UPKEEP];

export class Command {
  readonly name: string;
  readonly #asked: object;
  readonly #run: Row['run'];

  constructor({ name, run }: Row, asked: object) {
    this.name = name;
    this.#asked = asked;
    this.#run = run;
  }

  run(world: World): void {
    this.#run(world, this.#asked);
    world.stream();
  }

  toString(): string {
    const text = JSON.stringify(this.#asked, (_, value: unknown) =>
      typeof value === 'bigint' ? `${value}n` : value,
    );
    return text === '{}' ? this.name : `${this.name} ${text}`;
  }

  [fc.toStringMethod](): string {
    return this.toString();
  }
}

const command: fc.Arbitrary<Command> = fc.oneof(
  ...ROWS.map((row) => ({
    weight: row.weight,
    arbitrary: row.asked.map((asked) => new Command(row, asked)),
  })),
);

/** Any history, long or short. */
export const history = (commandsMax: number): fc.Arbitrary<Command[]> =>
  fc.array(command, { maxLength: commandsMax, size: 'max' });

/** @throws where anything differs from what it must be. */
export function runHistory(commands: readonly Command[], world: World = new World()): void {
  for (const each of commands) each.run(world);
  world.end();
}
