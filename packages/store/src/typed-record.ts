/** The record of one key, for those who change it again and again: `map.typed(Quote).record(key)`.
 *
 *  Keeps the key as words with their hash, its partition, and where its record was. Each call looks there first, inside the
 *  gate, and whether it is still the record of the key: it may have moved, or gone, or be another by now.
 *  Owner: one thread, like the map that it is of. */
import type { CountedField } from './counted-field.ts';
import { type FieldSums, Whereabouts } from './field-sums.ts';
import type { MapKey } from './map-key.ts';
import type { Clock } from './map-options.ts';
import type { FieldName, NumberName, ReadOf, StructShape, WriteOf } from './struct.ts';
import type { TypedMap } from './typed-map.ts';

export class TypedRecord<S extends StructShape> {
  readonly #map: TypedMap<S>;
  readonly #where: Whereabouts;
  readonly #sums: FieldSums;
  readonly #clock: Clock;
  /** Of the last sum: most count one field. */
  #name: string | null = null;
  #counted: CountedField | null = null;

  /** See `TypedMap.record`. */
  constructor(map: TypedMap<S>, key: MapKey, sums: FieldSums, clock: Clock) {
    this.#map = map;
    this.#where = new Whereabouts(key);
    this.#sums = sums;
    this.#clock = clock;
  }

  /** As `TypedMap.increment`, by a number. */
  increment(name: NumberName<S>, by: number): number | null {
    let counted = this.#counted;
    if (counted === null || name !== this.#name || !(counted.isFloat || Number.isInteger(by))) {
      counted = this.#map.countedBy(name, by);
      this.#counted = counted;
      this.#name = name;
    }
    const code = this.#sums.add(this.#where, counted, by, this.#clock);
    return this.#map.summed(this.#sums, code, counted);
  }

  /** As `TypedMap.read`. */
  read<N extends FieldName<S>>(name: N): ReadOf<S[N]> | null {
    return this.#map.read(this.#where.key.bytes(), name);
  }

  /** As `TypedMap.write`. */
  write<N extends FieldName<S>>(name: N, value: WriteOf<S[N]>): boolean {
    return this.#map.write(this.#where.key.bytes(), name, value);
  }
}
