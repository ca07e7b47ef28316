/** COMMAND DOCS: what commands do and which arguments they take, as redis-cli shows it for HELP and while
 *  one types. Arguments are those of Redis 7.0, but for commands and options that are newer or our own. */

import type { ReplyWriter } from '../resp/reply-writer.ts';
import { ARGUMENT_DATA } from './argument-data.ts';
import { type Argument, readArguments } from './argument-notation.ts';
import { sinceOf } from './command-metadata.ts';
import type { CommandRow } from './row.ts';

/** What Redis 7.0 has not, or not so; in the same notation. */
const OWN_DATA = `
client|acks mode<oneof>?(local<pure-token>=LOCAL isr<pure-token>=ISR log<pure-token>=LOG isr-log<pure-token>=ISR+LOG)
client|no-touch enabled<oneof>(on<pure-token>=ON off<pure-token>=OFF)
client|setinfo attr<oneof>(libname=LIB-NAME libver=LIB-VER)
delex key<key>#0 condition<oneof>?(ifeq-value=IFEQ ifne-value=IFNE ifdeq-digest=IFDEQ
  ifdne-digest=IFDNE)
delifeq key<key>#0 value
digest key<key>#0
increx key<key>#0 increment<oneof>?(float<double>=BYFLOAT integer<integer>=BYINT)
  saturate<pure-token>=SATURATE? lowerbound=LBOUND? upperbound=UBOUND?
  expiration<oneof>?(seconds<integer>=EX milliseconds<integer>=PX unix-time-seconds<unix-time>=EXAT
  unix-time-milliseconds<unix-time>=PXAT persist<pure-token>=PERSIST) enx<pure-token>=ENX?
set key<key>#0 value condition<oneof>@2.6.12?(nx<pure-token>=NX xx<pure-token>=XX
  ifeq-value=IFEQ@8.4.0 ifne-value=IFNE@8.4.0 ifdeq-digest=IFDEQ@8.4.0 ifdne-digest=IFDNE@8.4.0)
  get<pure-token>=GET@6.2.0? expiration<oneof>?(seconds<integer>=EX@2.6.12
  milliseconds<integer>=PX@2.6.12 unix-time-seconds<unix-time>=EXAT@6.2.0
  unix-time-milliseconds<unix-time>=PXAT@6.2.0 keepttl<pure-token>=KEEPTTL@6.0.0)
`;

const ownLines = linesOf(OWN_DATA);
/** Commands whose arguments are not, or not just, those of Redis 7.0. */
export const OWN_ARGUMENTS: readonly string[] = [...ownLines.keys()];

const lines = new Map([...linesOf(ARGUMENT_DATA), ...ownLines]);
const known = new Map<string, readonly Argument[]>();

/** By command; a line that is indented belongs to the one before. */
function linesOf(data: string): Map<string, string> {
  const whole = data.replaceAll(/\n {2}/g, ' ').split('\n');
  return new Map(
    whole
      .filter((line) => line !== '')
      .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
  );
}

/** Empty for a command without arguments. */
export function argumentsOf(name: string): readonly Argument[] {
  const before = known.get(name);
  if (before !== undefined) return before;
  const list = readArguments(lines.get(name) ?? '');
  known.set(name, list);
  return list;
}

/** Summary, since, group, arguments, subcommands: what there is of them. */
export function writeDocs(row: CommandRow, out: ReplyWriter): void {
  out.bulkText(row.name);
  const since = sinceOf(row);
  const list = argumentsOf(row.name);
  const fields = [
    () => writeText('summary', row.summary, out),
    ...(since === null ? [] : [() => writeText('since', since, out)]),
    () => writeText('group', row.group, out),
    ...(list.length === 0 ? [] : [() => writeArgumentList(list, out)]),
    ...(row.subcommands.length === 0 ? [] : [() => writeSubcommands(row, out)]),
  ];
  out.map(fields.length);
  for (const write of fields) write();
}

function writeText(field: string, text: string, out: ReplyWriter): void {
  out.bulkText(field);
  out.bulkText(text);
}

function writeSubcommands({ subcommands }: CommandRow, out: ReplyWriter): void {
  out.bulkText('subcommands');
  out.map(subcommands.length);
  for (const subcommand of subcommands) writeDocs(subcommand, out);
}

function writeArgumentList(list: readonly Argument[], out: ReplyWriter): void {
  out.bulkText('arguments');
  out.array(list.length);
  for (const argument of list) writeArgument(argument, out);
}

/** In Redis' order. */
function writeArgument(argument: Argument, out: ReplyWriter): void {
  const { keySpec, flags } = argument;
  const texts = [
    ['token', argument.token],
    ['since', argument.since],
    ['deprecated_since', argument.deprecated],
  ] as const;
  const given = texts.filter(([, text]) => text !== null);
  const inner = argument.arguments;
  const more = [keySpec !== null, flags.length > 0, inner.length > 0].filter(Boolean).length;
  out.map(2 + given.length + more);
  writeText('name', argument.name, out);
  writeText('type', argument.type, out);
  if (keySpec !== null) {
    out.bulkText('key_spec_index');
    out.integer(keySpec);
  }
  for (const [field, text] of given) writeText(field, text ?? '', out);
  if (flags.length > 0) {
    out.bulkText('flags');
    out.set(flags.length);
    for (const flag of flags) out.simple(flag);
  }
  if (inner.length > 0) writeArgumentList(inner, out);
}
