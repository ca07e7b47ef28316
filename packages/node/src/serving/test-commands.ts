/** Commands for tests, in the table where INGOT_TEST_DOOR=1 alone.
 *
 *  INGOT.PUT key value         SET, answered with who took it: "partition epoch node incarnation"
 *  INGOT.DIE key value how     SET whose thread ends in the middle of it, inside the gate, by `throw` or by `exit`
 *
 *  What it answers is read inside the passage of the write, so two answers with one partition and
 *  epoch, and with different nodes or incarnations, are two primaries. */

import { replyOk, storeArgument } from '../commands/records.ts';
import { FIRST_KEY } from '../commands/row.ts';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Command, Execution } from './execution.ts';

const EXIT_CODE = 3;

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
  {
    name: 'ingot.die',
    arity: 4,
    kind: 'write',
    flags: ['write', 'denyoom'],
    categories: ['@write', '@slow'],
    keys: FIRST_KEY,
    run: die,
  },
];

function put(execution: Execution, args: Args, out: ReplyWriter): void {
  const refused = storeArgument(execution, args, 1, 2, 0);
  if (refused !== null) return replyOk(refused, out);
  const { partition, worker } = execution;
  out.simple(`${partition.id} ${partition.epoch()} ${worker.nodeId} ${worker.incarnation}`);
}

/** Bytes of the record are written, and neither its redo nor its seq. */
function die(execution: Execution, args: Args, out: ReplyWriter): void {
  const how = args.text(3);
  execution.partition.onStep = (step) => {
    if (step !== 'stamp') return;
    if (how === 'exit') process.exit(EXIT_CODE);
    throw new Error('told to die');
  };
  put(execution, args, out);
}
