/** Calls of a map as its users see them: what was asked of a key, by whom, when, and what came back. And what each of them
 *  does to a key when calls come one after the other: the sequential object that a history is compared with.
 *
 *  A key's value is a list of items: the whole blocks of a value, a number, the fields of a record. As a state it is their
 *  text, with commas between; null = absent. Items are unique where one write is to be told from another. */

export type State = string | null;

/** Positions count items. */
export type Operation =
  /** Items `from` to `to` (not included; none = all of them), or null. */
  | { readonly kind: 'get'; readonly from?: number; readonly to?: number; readonly result: State }
  | {
      readonly kind: 'set';
      readonly value: string;
      readonly when?: 'absent' | 'there';
      readonly result: boolean;
    }
  | { readonly kind: 'exchange'; readonly value: string; readonly result: State }
  | {
      readonly kind: 'compareAndSet';
      readonly expected: State;
      readonly value: string;
      readonly result: boolean;
    }
  | { readonly kind: 'delete'; readonly result: boolean }
  /** Adds to the number at `at`: the sum. An absent key counts from 0, or, with `ifThere`, stays absent: null. */
  | {
      readonly kind: 'add';
      readonly at: number;
      readonly by: number;
      readonly ifThere?: boolean;
      readonly result: number | null;
    }
  /** One more item at the end: how many there are now. */
  | { readonly kind: 'append'; readonly item: string; readonly result: number }
  /** Another item at `at`, with zeros up to there where the list is shorter: how many there are now, or, with `ifThere`, 0 for
   *  an absent key, which stays absent. */
  | {
      readonly kind: 'put';
      readonly at: number;
      readonly item: string;
      readonly ifThere?: boolean;
      readonly result: number;
    };

export interface Call {
  /** Of the caller, 0 to 30; the calls of one follow each other. */
  readonly client: number;
  readonly key: string;
  readonly operation: Operation;
  /** Of any clock that all callers share; b follows a only where a.end < b.start. */
  readonly start: number;
  /** Infinity: it is not known whether the call took effect, and its caller calls no more. */
  readonly end: number;
}

/** The key has another state than that result can come from. */
export const MISFIT = Symbol('misfit');

const itemsOf = (state: State): string[] =>
  state === null || state === '' ? [] : state.split(',');

/** The state after an operation that gave its result, or MISFIT. Of an operation whose end is not known the result does
 *  not count. */
export function after(state: State, operation: Operation, known = true): State | typeof MISFIT {
  const [next, result] = apply(state, operation);
  return !known || result === operation.result ? next : MISFIT;
}

function apply(state: State, operation: Operation): [next: State, result: Operation['result']] {
  switch (operation.kind) {
    case 'get': {
      if (operation.from === undefined || state === null) return [state, state];
      return [state, itemsOf(state).slice(operation.from, operation.to).join(',')];
    }
    case 'set': {
      const { when, value } = operation;
      const applies = when === undefined || (when === 'absent') === (state === null);
      return [applies ? value : state, applies];
    }
    case 'exchange':
      return [operation.value, state];
    case 'compareAndSet': {
      const applies = state === operation.expected;
      return [applies ? operation.value : state, applies];
    }
    case 'delete':
      return [null, state !== null];
    case 'add': {
      if (state === null && operation.ifThere === true) return [null, null];
      const items = itemsOf(state);
      const sum = Number(items[operation.at] ?? '0') + operation.by;
      items[operation.at] = String(sum);
      return [items.join(','), sum];
    }
    case 'append': {
      const items = [...itemsOf(state), operation.item];
      return [items.join(','), items.length];
    }
    case 'put': {
      if (state === null && operation.ifThere === true) return [null, 0];
      const items = itemsOf(state);
      while (items.length < operation.at) items.push('0');
      items[operation.at] = operation.item;
      return [items.join(','), items.length];
    }
  }
}

/** `set 17,18 -> true (thread 2, 103 to 109)` */
export function textOf({ client, operation, start, end }: Call): string {
  const { kind, result, ...asked } = operation;
  const words = Object.entries(asked).map(([name, value]) => `${name} ${value}`);
  return `${[kind, ...words].join(' ')} -> ${result} (thread ${client}, ${start} to ${end})`;
}
