/** One reply made of the replies of several parts (partitions, or nodes), which may come in any
 *  order. An error of any part is the whole's, told so that it is true of all parts where some of
 *  them write (see partly-executed.ts). So is an absent array: the part is a transaction that a
 *  watched key stopped. */

import type { Buffer } from 'node:buffer';
import { ReplyScanner } from '../resp/reply-scanner.ts';
import { type Protocol, ReplyWriter } from '../resp/reply-writer.ts';
import type { SplitRule } from './execution.ts';
import { errorOfParts, type PartName } from './partly-executed.ts';
import type { ReplySink } from './reply-queue.ts';

const MINUS = 0x2d;
const STAR = 0x2a;
const NIL = 0x5f;
const LF = 0x0a;

export class JoinedReply {
  private readonly rule: SplitRule;
  /** Per part: where its elements belong in a gathered reply. */
  private readonly positions: readonly (readonly number[])[];
  private readonly protocol: Protocol;
  /** What positions are called, and which parts write. */
  private readonly what: PartName;
  private readonly writes: readonly boolean[];
  private readonly replies: (Buffer | null)[];
  private missing: number;
  private sink: ReplySink | null = null;

  constructor(
    rule: SplitRule,
    positions: readonly (readonly number[])[],
    protocol: Protocol,
    what: PartName,
    writes: readonly boolean[],
  ) {
    this.rule = rule;
    this.what = what;
    this.writes = writes;
    this.positions = positions;
    this.protocol = protocol;
    this.replies = positions.map(() => null);
    this.missing = positions.length;
  }

  /** The whole goes there as soon as the last part is in. */
  settleInto(sink: ReplySink): void {
    this.sink = sink;
  }

  part(i: number): ReplySink {
    return {
      settle: (reply: Buffer): void => {
        this.replies[i] = reply;
        this.missing--;
        if (this.missing > 0 || this.sink === null) return;
        const out = new ReplyWriter(1024);
        out.protocol = this.protocol;
        this.writeTo(out);
        this.sink.settle(wholeReply(out));
      },
    };
  }

  /** All parts are in. */
  writeTo(out: ReplyWriter): void {
    const replies = this.replies as Buffer[];
    const failed = replies.some((reply) => reply[0] === MINUS) ? this.error(replies) : null;
    if (failed !== null) out.raw(failed, 0, failed.length);
    else if (this.rule === 'ok') out.ok();
    else if (replies.some(isAbsent)) out.nilArray();
    else if (this.rule === 'sum') out.integer(replies.reduce((sum, r) => sum + integerOf(r), 0));
    else this.gather(replies, out);
  }

  private error(replies: readonly Buffer[]): Buffer | null {
    const parts = replies.map((reply, part) => ({
      names: this.positions[part].map((position) => position + 1),
      writes: this.writes[part],
      reply,
    }));
    return errorOfParts(this.what, parts);
  }

  private gather(replies: readonly Buffer[], out: ReplyWriter): void {
    const elements: Buffer[] = [];
    replies.forEach((reply, part) => {
      const positions = this.positions[part];
      elementsOf(reply).forEach((element, k) => {
        elements[positions[k]] = element;
      });
    });
    out.array(elements.length);
    for (const element of elements) out.raw(element, 0, element.length);
  }
}

/** `*-1` or `_`. */
function isAbsent(reply: Buffer): boolean {
  return reply[0] === NIL || (reply[0] === STAR && reply[1] === MINUS);
}

/** What was put together, or an error in its place when that became too large. */
export function wholeReply(out: ReplyWriter): Buffer {
  if (out.overflowed) {
    out.rewind(0);
    out.error(`ERR the reply would be larger than ${out.limitBytes} bytes`);
  }
  return out.take();
}

/** The integer of a `:n` reply. */
export function integerOf(reply: Buffer): number {
  return Number(reply.toString('latin1', 1, reply.length - 2));
}

/** The encoded elements of an array reply. */
export function elementsOf(reply: Buffer): Buffer[] {
  const scanner = new ReplyScanner();
  scanner.push(reply.subarray(reply.indexOf(LF) + 1));
  const elements: Buffer[] = [];
  while (scanner.next()) elements.push(scanner.buffer.subarray(scanner.start, scanner.end));
  return elements;
}
