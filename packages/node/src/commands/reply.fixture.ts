/** Decodes one whole reply, RESP2 or RESP3, into plain values, for tests.
 *  Errors become `{ error }`; bulk strings are latin1, so that every byte is one character. */

export type Reply =
  | string
  | number
  | bigint
  | boolean
  | null
  | Reply[]
  | { readonly error: string }
  | ReadonlyMap<Reply, Reply>;

export function decodeReply(bytes: Buffer): Reply {
  const cursor = { text: bytes.toString('latin1'), at: 0 };
  const reply = decodeNext(cursor);
  if (cursor.at !== cursor.text.length) throw new Error(`more than one reply: ${cursor.text}`);
  return reply;
}

interface Cursor {
  readonly text: string;
  at: number;
}

function decodeNext(cursor: Cursor): Reply {
  const line = readLine(cursor);
  const rest = line.slice(1);
  switch (line[0]) {
    case '+':
      return rest;
    case '-':
      return { error: rest };
    case ':':
      return integer(rest);
    case ',':
      return Number(rest);
    case '#':
      return rest === 't';
    case '_':
      return null;
    case '$':
      return rest === '-1' ? null : readBytes(cursor, Number(rest));
    case '=':
      return readBytes(cursor, Number(rest)).slice(4);
    case '*':
    case '~':
      return rest === '-1' ? null : times(Number(rest), () => decodeNext(cursor));
    case '%': {
      const pairs = times(Number(rest), () => [decodeNext(cursor), decodeNext(cursor)] as const);
      return new Map(pairs);
    }
    default:
      throw new Error(`no reply begins like this: ${line}`);
  }
}

function integer(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

function readLine(cursor: Cursor): string {
  const end = cursor.text.indexOf('\r\n', cursor.at);
  if (end < 0) throw new Error(`an incomplete reply: ${cursor.text}`);
  const line = cursor.text.slice(cursor.at, end);
  cursor.at = end + 2;
  return line;
}

function readBytes(cursor: Cursor, bytes: number): string {
  const text = cursor.text.slice(cursor.at, cursor.at + bytes);
  cursor.at += bytes + 2;
  return text;
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}
