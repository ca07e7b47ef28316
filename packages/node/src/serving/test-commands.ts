/** Commands for tests, in the table where INGOT_TEST_DOOR=1 alone.
 *
 *  INGOT.PUT key value         SET, answered with who took it: "partition epoch node incarnation"
 *
 *  What it answers is read inside the passage of the write, so two answers with one partition and
 *  epoch, and with different nodes or incarnations, are two primaries. */

import { replyOk, storeArgument } from '../commands/records.ts';
import { FIRST_KEY } from '../commands/row.ts';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Command, Execution } from './execution.ts';

export const TEST_COMMANDS: readonly Command[] = [
  {
    name: 'ingot.put',
    arity: 3,
    kind: 'write',
    flags: ['write', 'denyoom'],
    categories: ['@write', '@slow'],
    keys: FIRST_KEY,
    run: put,
  },
];

function put(execution: Execution, args: Args, out: ReplyWriter): void {
  const refused = storeArgument(execution, args, 1, 2, 0);
  if (refused !== null) return replyOk(refused, out);
  const { partition, worker } = execution;
  out.simple(`${partition.id} ${partition.epoch()} ${worker.nodeId} ${worker.incarnation}`);
}
