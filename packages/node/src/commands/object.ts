/** OBJECT: what a value is besides its bytes, as far as a store of plain bytes can say.
 *  The encoding is what Redis would choose for a value that was set whole. */

import { INT64_TEXT_BYTES_MAX, readInteger } from '@ingot/store';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { container, type SubcommandInput } from './container.ts';
import { lookUp } from './records.ts';
import type { CommandRow } from './row.ts';

/** The longest string that Redis keeps in one block with its header. */
const EMBEDDED_BYTES_MAX = 44;
const NO_FREQUENCY =
  'ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that ' +
  'when switching between policies at runtime LRU and LFU data will take some time to adjust.';

const digits: Buffer = Buffer.alloc(INT64_TEXT_BYTES_MAX);

function encoding({ partition }: Execution, ref: number): string {
  const bytes = partition.valueBytes(ref);
  if (bytes > EMBEDDED_BYTES_MAX) return 'raw';
  if (bytes > INT64_TEXT_BYTES_MAX) return 'embstr';
  partition.copyValue(ref, 0, bytes, digits, 0);
  return readInteger(digits, 0, bytes) === null ? 'embstr' : 'int';
}

function about(
  word: string,
  summary: string,
  tell: (execution: Execution, ref: number, out: ReplyWriter) => void,
): SubcommandInput {
  return {
    word,
    arity: 3,
    flags: ['readonly'],
    kind: 'read',
    keys: { first: 2, last: 2, step: 1 },
    summary,
    run: (execution: Execution, args: Args, out: ReplyWriter) => {
      const ref = lookUp(execution, args, 2);
      if (ref === 0) out.nil();
      else tell(execution, ref, out);
    },
  };
}

export const OBJECT_COMMAND: CommandRow = container({
  name: 'object',
  arity: -2,
  flags: [],
  group: 'generic',
  categories: { own: null, subcommands: '@keyspace' },
  summary: 'Tells about values.',
  subcommands: [
    about(
      'encoding',
      'Returns how Redis would keep a value: int, embstr or raw.',
      (execution, ref, out) => out.bulkText(encoding(execution, ref)),
    ),
    about('freq', 'Refuses: how often a value is used is not counted.', (_execution, _ref, out) =>
      out.error(NO_FREQUENCY),
    ),
    about(
      'idletime',
      'Returns 0: when a value was used last is not kept.',
      (_execution, _ref, out) => out.integer(0),
    ),
    about('refcount', 'Returns 1: no value is shared.', (_execution, _ref, out) => out.integer(1)),
  ],
});
