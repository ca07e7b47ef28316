/** One reply made of the replies of several parts (partitions, or nodes), which may come in any
 *  order. An error of any part is the whole's, told so that it is true of all parts where some of
 *  them write (see partly-executed.ts). So is an absent array: the part is a transaction that a
 *  watched key stopped. */

import { Buffer } from 'node:buffer';
import { ReplyScanner } from '../resp/reply-scanner.ts';
import { type Lent, type Protocol, ReplyWriter, type Written } from '../resp/reply-writer.ts';
import type { SplitRule } from './execution.ts';
import { errorOfParts, type PartName } from './partly-executed.ts';
import { PINNED_BYTES_MIN, PinnedValue } from './pinned-value.ts';
import { AS_IT_IS, LentReply, type ReplySink } from './reply-queue.ts';

const MINUS = 0x2d;
const STAR = 0x2a;
const NIL = 0x5f;
const LF = 0x0a;
const DOLLAR = 0x24;
const CRLF_BYTES = 2;

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
  /** Per part: what is lent to its reply. */
  private readonly parts: (Written | null)[];

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
    this.parts = positions.map(() => null);
    this.missing = positions.length;
  }

  /** The whole goes there as soon as the last part is in: a LentReply where parts have lent values. */
  settleInto(sink: ReplySink): void {
    this.sink = sink;
    if (this.missing === 0) this.finish(sink);
  }

  /** What part `i` is settled with is the text of this. */
  note(i: number, written: Written): void {
    this.parts[i] = written;
  }

  /** All that is lent to parts that are in, in no order and without a text. */
  lent(): Written {
    const lent = this.parts.flatMap((written) => written?.lent ?? []);
    const lentBytes = lent.reduce((sum, { bytes }) => sum + bytes, 0);
    return { text: NO_BYTES, lent, lentAt: lent.map(() => 0), lentBytes };
  }

  part(i: number): ReplySink {
    return {
      settle: (reply: Buffer): void => {
        this.replies[i] = reply;
        this.missing--;
        if (this.missing === 0 && this.sink !== null) this.finish(this.sink);
      },
    };
  }

  private finish(sink: ReplySink): void {
    const out = new ReplyWriter(1024);
    out.protocol = this.protocol;
    this.writeTo(out);
    if (sink instanceof LentReply && out.lentBytes > 0 && !out.overflowed) {
      sink.written = out.cut(0);
      sink.settle(AS_IT_IS);
    } else sink.settle(wholeReply(out));
  }

  /** All parts are in. */
  writeTo(out: ReplyWriter): void {
    const replies = this.replies as Buffer[];
    const failed = replies.some((reply) => reply[0] === MINUS) ? this.error(replies) : null;
    if (failed !== null) out.raw(failed, 0, failed.length);
    else if (this.rule === 'ok') out.ok();
    else if (replies.some(isAbsent)) out.nilArray();
    else if (this.rule === 'sum') out.integer(replies.reduce((sum, r) => sum + integerOf(r), 0));
    else {
      this.gather(replies, out);
      return;
    }
    for (const value of this.lent().lent) value.release();
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
    const elements: Element[] = [];
    replies.forEach((reply, part) => {
      const positions = this.positions[part];
      withLent(reply, this.parts[part]).forEach((element, k) => {
        elements[positions[k]] = element;
      });
    });
    out.array(elements.length);
    for (const { bytes, value } of elements) {
      if (value !== null) {
        if (!out.lend(value)) value.release();
      } else if (bytes.length < PINNED_BYTES_MIN || bytes[0] !== DOLLAR) {
        out.raw(bytes, 0, bytes.length);
      } else out.lend(received(bytes));
    }
  }
}

/** A long bulk of another node, where it was received. */
function received(bulk: Buffer): Lent {
  const view = bulk.subarray(bulk.indexOf(LF) + 1, bulk.length - CRLF_BYTES);
  return new PinnedValue(null, { unpin: () => {} }, [view], view.length);
}

/** `*-1` or `_`. */
function isAbsent(reply: Buffer): boolean {
  return reply[0] === NIL || (reply[0] === STAR && reply[1] === MINUS);
}

/** What was put together, or an error in its place when that became too large. `note` gets what has lent values:
 *  the reply is its text then. */
export function wholeReply(out: ReplyWriter, note?: (written: Written) => void): Buffer {
  if (out.overflowed) {
    out.rewind(0);
    out.error(`ERR the reply would be larger than ${out.limitBytes} bytes`);
  }
  if (out.lentBytes === 0 || note === undefined) return out.take();
  const written = out.cut(0);
  note(written);
  return written.text;
}

/** The integer of a `:n` reply. */
export function integerOf(reply: Buffer): number {
  return Number(reply.toString('latin1', 1, reply.length - 2));
}

/** An encoded element, or a lent value. */
interface Element {
  readonly bytes: Buffer;
  readonly value: Lent | null;
}

const NO_BYTES: Buffer = Buffer.alloc(0);

/** The encoded elements of an array reply. */
export function elementsOf(reply: Buffer): Buffer[] {
  return withLent(reply, null).map(({ bytes }) => bytes);
}

/** The elements of an array reply; of lent values it has the header and the end. */
function withLent(reply: Buffer, written: Written | null): Element[] {
  const elements: Element[] = [];
  let at = reply.indexOf(LF) + 1;
  for (const [i, value] of (written?.lent ?? []).entries()) {
    const lentAt = (written as Written).lentAt[i];
    const header = reply.lastIndexOf(DOLLAR, lentAt);
    scanInto(elements, reply.subarray(at, header));
    elements.push({ bytes: NO_BYTES, value });
    at = lentAt + CRLF_BYTES;
  }
  scanInto(elements, reply.subarray(at));
  return elements;
}

function scanInto(elements: Element[], bytes: Buffer): void {
  const scanner = new ReplyScanner();
  scanner.push(bytes);
  while (scanner.next()) {
    elements.push({ bytes: scanner.buffer.subarray(scanner.start, scanner.end), value: null });
  }
}
