/** The error of a call of several parts (partitions, or nodes) of which some were executed.
 *
 *  An error of one part is the whole's only while it tells the truth about the whole: NOREPLICAS,
 *  TRYAGAIN, CLUSTERDOWN and MOVED promise that nothing was done, and clients send such a call
 *  again. Where another part has written, the error says which parts were done, which were not, and
 *  which failed in a way of their own (the outcome unknown, out of memory). Pure. */

import { Buffer } from 'node:buffer';

/** What a part is called in the error. */
export type PartName = 'key' | 'command' | 'node';

export interface PartReply {
  /** Of its keys or commands, counted from 1, or the node. */
  readonly names: readonly (number | string)[];
  readonly writes: boolean;
  readonly reply: Buffer;
}

/** Codes of errors that say that nothing was executed. */
const REFUSALS: readonly string[] = ['NOREPLICAS', 'MOVED', 'TRYAGAIN', 'CLUSTERDOWN'];
const NAMES_MAX = 16;
const ERROR = 0x2d;

/** An error that is true for all parts together, as a reply; null where no part has one. */
export function errorOfParts(what: PartName, parts: readonly PartReply[]): Buffer | null {
  const failed = parts.filter(({ reply }) => isError(reply));
  if (failed.length === 0) return null;
  const wrote = parts.filter(({ writes, reply }) => writes && !isRefusal(reply));
  const same = parts.every(({ writes, reply }) => !writes || reply.equals(failed[0].reply));
  if (wrote.length === 0 || same) return failed[0].reply;
  const sentences = [
    ...described('done for', what, [parts.filter(({ reply }) => !isError(reply))]),
    ...described('not done for', what, byText(failed.filter(({ reply }) => isRefusal(reply)))),
    ...described('failed for', what, byText(failed.filter(({ reply }) => !isRefusal(reply)))),
  ];
  return Buffer.from(`-ERR partly executed: ${sentences.join('; ')}\r\n`);
}

function byText(failed: readonly PartReply[]): PartReply[][] {
  return [...Map.groupBy(failed, ({ reply }) => textOf(reply)).values()];
}

function described(how: string, what: PartName, groups: readonly PartReply[][]): string[] {
  return groups.flatMap((group) => {
    const names = group.flatMap((part) => part.names);
    if (names.length === 0) return [];
    const told = names.length > NAMES_MAX ? [...names.slice(0, NAMES_MAX), '...'] : names;
    const why = isError(group[0].reply) ? ` (${textOf(group[0].reply)})` : '';
    return [`${how} ${what}${names.length > 1 ? 's' : ''} ${told.join(', ')}${why}`];
  });
}

function isError(reply: Buffer): boolean {
  return reply[0] === ERROR;
}

function isRefusal(reply: Buffer): boolean {
  if (!isError(reply)) return false;
  const text = textOf(reply);
  return REFUSALS.includes(text.slice(0, text.indexOf(' ')));
}

/** `-text\r\n` */
function textOf(reply: Buffer): string {
  return reply.toString('utf8', 1, reply.length - 2);
}
