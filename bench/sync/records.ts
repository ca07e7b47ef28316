/** The records that are copied: keys of 16 bytes, values of 256 random bytes, written through the
 *  client port as fast as one connection goes. */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export const KEY_BYTES = 16;
export const VALUE_BYTES = 256;

const BATCH = 500;
const BATCHES_UNDER_WAY = 8;
const PREFIX = 'key:';
const DIGITS = KEY_BYTES - PREFIX.length;
/** `+OK` with its line end. */
const REPLY_BYTES = 5;
const HEAD = `*3\r\n$3\r\nSET\r\n$${KEY_BYTES}\r\n${PREFIX}`;
const COMMAND_BYTES = HEAD.length + DIGITS + `\r\n$${VALUE_BYTES}\r\n`.length + VALUE_BYTES + 2;
const VALUE_POOL_BYTES = 1 << 20;
const valuePool = randomBytes(VALUE_POOL_BYTES);

/** Room for `count` SET commands, complete but for number and value of each. */
export function blankSets(count: number): Buffer {
  const one = `${HEAD}${'0'.repeat(DIGITS)}\r\n$${VALUE_BYTES}\r\n${'0'.repeat(VALUE_BYTES)}\r\n`;
  return Buffer.from(one.repeat(count), 'latin1');
}

/** Makes the command at `position` set record `i`. `salt` makes another value of the same record. */
export function fillSet(commands: Buffer, position: number, i: number, salt = 0): void {
  const at = position * COMMAND_BYTES;
  let rest = i;
  for (let digit = at + HEAD.length + DIGITS - 1; digit >= at + HEAD.length; digit--) {
    commands[digit] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  const from = (Math.imul(i ^ salt, 0x9e3779b1) >>> 0) % (VALUE_POOL_BYTES - VALUE_BYTES);
  valuePool.copy(commands, at + COMMAND_BYTES - VALUE_BYTES - 2, from, from + VALUE_BYTES);
}

export function commandAt(commands: Buffer, position: number): Buffer {
  return commands.subarray(position * COMMAND_BYTES, (position + 1) * COMMAND_BYTES);
}

export async function openConnection(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}

/** Writes records 0 to `count` - 1. */
export async function loadRecords(port: number, count: number): Promise<void> {
  const socket = await openConnection(port);
  const replies = new ReplyCount(socket);
  for (let from = 0; from < count; from += BATCH) {
    const batch = Math.min(BATCH, count - from);
    const commands = blankSets(batch);
    for (let i = 0; i < batch; i++) fillSet(commands, i, from + i);
    socket.write(commands);
    await replies.reach(from + batch - BATCH * BATCHES_UNDER_WAY);
  }
  await replies.reach(count);
  socket.destroy();
}

/** Replies to SETs, as they come. */
export class ReplyCount {
  #bytes = 0;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    socket.on('data', (bytes) => {
      if (bytes.includes('-')) throw new Error(`refused: ${bytes.toString('latin1')}`);
      this.#bytes += bytes.length;
      this.#wake();
    });
  }

  async reach(replies: number): Promise<void> {
    while (this.#bytes < replies * REPLY_BYTES) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
