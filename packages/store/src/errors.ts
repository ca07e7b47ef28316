/** Errors of the store: weather has a code and says what to do; a broken invariant is a bug and ends the process. */

export const STORE_ERRORS = {
  PARTITIONS_INVALID: 'the number of partitions must be a power of two from 1 to 4096',
  IMAGE_TOO_SMALL:
    'a partition needs at least 8 MiB of capacity: raise --capacity or lower --partitions',
  IMAGE_TOO_LARGE: 'a partition holds at most 2 GiB: raise --partitions or lower --capacity',
  VALUE_MAX_INVALID: 'the largest value must be from 1 MiB to a quarter of a partition',
  OUT_OF_MEMORY: 'the partition is full and may not evict: raise --capacity or allow eviction',
  VALUE_TOO_LARGE: 'the value is too large: raise --capacity or --value-max, or lower --partitions',
  VALUE_BUSY:
    'others write so many large values, or change this one so often, that it could not be written: try again',
  NOT_LED: 'this copy takes no writes, or is led by another since the write began: ask the primary',
  PIN_RELEASED: 'the pin was let go of before: its views are not to be read any more',
  NOT_AN_INTEGER: 'the value is no 64-bit integer: only such values are counted with',
  COUNTER_OVERFLOW: 'the sum would leave 64 bits',
  CURSOR_INVALID: 'no scan of this map has such a cursor: begin again with 0',
  TTL_INVALID: 'a time to live is more than 0 ms: delete the key instead',
  STRUCT_INVALID: 'the fields make no struct without padding: change them as the detail says',
  STRUCT_MISMATCH:
    'the value is plain or of another struct: read it with the struct that wrote it, or set it anew',
  STRUCT_TOO_LARGE:
    'a record of a struct, its key and tail included, has 64 KiB at most: shorten it',
  FIELD_INVALID: 'the field cannot hold the value: nothing was written',
  FIELD_OVERFLOW: 'the sum would leave what the field can hold: nothing was written',
  GATE_STUCK:
    'a thread has been inside the partition for a minute: it died there, or hangs; end the process, for the memory may be half written',
  HANDLE_INVALID: 'the memory does not carry a partition of this format',
} as const;

export type StoreErrorCode = keyof typeof STORE_ERRORS;

/** A condition the caller can act on. `code` is stable, `message` says what to do. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, detail?: string) {
    super(detail === undefined ? STORE_ERRORS[code] : `${STORE_ERRORS[code]} (${detail})`);
    this.name = 'StoreError';
    this.code = code;
  }
}

/** Thrown where a rule of the design does not hold. Nobody catches it: the process ends. */
export class InvariantError extends Error {
  constructor(rule: string) {
    super(`invariant broken: ${rule}`);
    this.name = 'InvariantError';
  }
}

/** Asserts a rule of the design, in production too. */
export function invariant(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new InvariantError(rule);
}
