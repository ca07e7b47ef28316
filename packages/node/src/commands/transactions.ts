/** MULTI EXEC DISCARD WATCH UNWATCH: rows only.
 *  The executor never calls their `run`: queueing, watching and the one passage of EXEC are its own
 *  code, because they decide how other commands run. */

import { invariant } from '@ingot/store';
import { ALL_KEYS, type CommandRow, command, type RowInput } from './row.ts';

function transaction(row: Omit<RowInput, 'kind' | 'group' | 'run'>): CommandRow {
  return command({
    ...row,
    kind: 'transaction',
    group: 'transactions',
    run: () => invariant(false, 'the executor runs transaction commands itself'),
  });
}

export const TRANSACTION_COMMANDS: readonly CommandRow[] = [
  transaction({
    name: 'multi',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    summary: 'Starts a transaction.',
  }),
  transaction({
    name: 'exec',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'skip_slowlog'],
    summary: 'Runs the queued commands of a transaction.',
  }),
  transaction({
    name: 'discard',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    summary: 'Drops the queued commands of a transaction.',
  }),
  transaction({
    name: 'watch',
    arity: -2,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    keys: ALL_KEYS,
    summary: 'Makes the next EXEC depend on keys that nobody changes until then.',
  }),
  transaction({
    name: 'unwatch',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    summary: 'Forgets the watched keys.',
  }),
];
