/** The command table: every command of every family, as rows.
 *  A command's index is its position here; counters in shared memory go by it, so all threads of a
 *  node must see the same table. */

import { BIT_COMMANDS } from './bits.ts';
import { BITFIELD_COMMANDS } from './bitfield.ts';
import { CLIENT_COMMAND } from './client.ts';
import { CLUSTER_COMMAND } from './cluster.ts';
import { commandCommand } from './command-info.ts';
import { CONDITIONAL_COMMANDS } from './conditional.ts';
import { CONFIG_COMMAND } from './config.ts';
import { CONNECTION_COMMANDS } from './connection.ts';
import { COPY_COMMANDS } from './copy.ts';
import { COUNTER_COMMANDS } from './counters.ts';
import { DUMP_COMMANDS } from './dump.ts';
import { EXPIRY_COMMANDS } from './expiry.ts';
import { INCREX_COMMAND } from './increx.ts';
import { INFO_COMMAND } from './info.ts';
import { KEYSPACE_COMMANDS } from './keyspace.ts';
import { LCS_COMMAND } from './lcs.ts';
import { MEMORY_COMMAND } from './memory.ts';
import { MULTI_KEY_COMMANDS } from './multi-key.ts';
import { OBJECT_COMMAND } from './object.ts';
import type { CommandRow } from './row.ts';
import { SCAN_COMMANDS } from './scan.ts';
import { LATENCY_COMMAND } from './latency.ts';
import { SERVER_COMMANDS } from './server.ts';
import { SLOWLOG_COMMAND } from './slowlog.ts';
import { STRING_COMMANDS } from './strings.ts';
import { TRANSACTION_COMMANDS } from './transactions.ts';

export const COMMANDS: readonly CommandRow[] = [
  ...STRING_COMMANDS,
  ...CONDITIONAL_COMMANDS,
  ...MULTI_KEY_COMMANDS,
  ...COUNTER_COMMANDS,
  INCREX_COMMAND,
  LCS_COMMAND,
  ...BIT_COMMANDS,
  ...BITFIELD_COMMANDS,
  ...EXPIRY_COMMANDS,
  ...COPY_COMMANDS,
  ...DUMP_COMMANDS,
  ...SCAN_COMMANDS,
  ...KEYSPACE_COMMANDS,
  ...TRANSACTION_COMMANDS,
  ...CONNECTION_COMMANDS,
  CLIENT_COMMAND,
  CLUSTER_COMMAND,
  CONFIG_COMMAND,
  OBJECT_COMMAND,
  MEMORY_COMMAND,
  INFO_COMMAND,
  SLOWLOG_COMMAND,
  LATENCY_COMMAND,
  ...SERVER_COMMANDS,
  commandCommand(() => COMMANDS),
];

/** Names in table order: what a command index stands for. */
export const commandNames: readonly string[] = COMMANDS.map(({ name }) => name);

const indexByName: ReadonlyMap<string, number> = new Map(
  commandNames.map((name, index) => [name, index]),
);

/** The index of a command, its name in any case; -1 when there is none. */
export function commandIndexByName(name: string): number {
  return indexByName.get(name.toLowerCase()) ?? -1;
}
