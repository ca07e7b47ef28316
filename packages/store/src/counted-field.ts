/** A field of a struct that numbers are added to, with what the sum may be. */
import { numberLimits } from './struct-bytes.ts';
import type { Struct, StructField, StructShape } from './struct.ts';

export class CountedField {
  readonly field: StructField;
  readonly min: number;
  readonly max: number;
  readonly isFloat: boolean;
  readonly fingerprint: number;
  readonly headBytes: number;

  private constructor(
    struct: Struct<StructShape>,
    field: StructField,
    [min, max]: readonly [number, number],
  ) {
    this.field = field;
    this.min = min;
    this.max = max;
    this.isFloat = field.kind === 'f32' || field.kind === 'f64';
    this.fingerprint = struct.fingerprint;
    this.headBytes = struct.layout.headBytes;
  }

  /** Null: it is no number. */
  static of(struct: Struct<StructShape>, field: StructField): CountedField | null {
    const limits = numberLimits(field);
    return limits === null ? null : new CountedField(struct, field, limits);
  }
}
