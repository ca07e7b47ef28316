/** Caches that answer the same trace: Ingot's store in this process, redis-server, and models.
 *
 *  A miss is followed by a SET, as a cache is used. Requests come in batches, and a batch's misses are set behind it, on
 *  all sides alike. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { classOfRecord, RECORD_HEADER_BYTES, SLOT_BYTES } from '../../packages/store/src/index.ts';
import type { StoreSide } from '../memory/store-side.ts';
import type { LruModel, SieveModel } from './models.ts';
import { KEY_BYTES, type Trace } from './traces.ts';

const VALUE_BYTES_MAX = 4_096;
/** Of the index, as it grows: a bucket of 64 bytes for 4.5 records at most, and for 3.4 in the mean. */
const INDEX_BYTES = 18;
const value = Buffer.alloc(VALUE_BYTES_MAX, 'v');
const LINE_END = Buffer.from('\r\n', 'latin1');
/** An error of Redis begins with it. */
const MINUS = 0x2d;

export interface Side {
  readonly name: string;
  /** Asks for requests `from` to `end` of the trace, notes in `found` which are there, and sets those that are not. */
  run(trace: Trace, from: number, end: number, found: Uint8Array): void | Promise<void>;
  /** Records and bytes that it holds now. */
  held(): Promise<Held> | Held;
}

export interface Held {
  readonly records: number;
  readonly bytes: number;
}

function nameOf(key: number): string {
  return `key:${String(key).padStart(KEY_BYTES - 4, '0')}`;
}

export function ingotSide(store: StoreSide): Side {
  const names: Buffer[] = [];
  return {
    name: 'ingot',
    run(trace, from, end, found) {
      for (let i = from; i < end; i++) {
        names[i - from] = Buffer.from(nameOf(trace.keys[i]), 'latin1');
        found[i - from] = store.get(names[i - from]) ? 1 : 0;
      }
      for (let i = from; i < end; i++) {
        if (found[i - from] === 0) store.set(names[i - from], value, trace.valueBytes[i]);
      }
    },
    held() {
      const { imageBytes, scratchTouchedBytes } = store.budget();
      const records = store.partitions.reduce((sum, partition) => sum + partition.stats().keys, 0);
      return { records, bytes: imageBytes + scratchTouchedBytes };
    },
  };
}

export function modelSide(
  name: string,
  model: SieveModel | LruModel,
  bytesOf: (valueBytes: number) => number,
): Side {
  let bytes = 0;
  return {
    name,
    run(trace, from, end, found) {
      for (let i = from; i < end; i++) found[i - from] = model.has(trace.keys[i]) ? 1 : 0;
      for (let i = from; i < end; i++) {
        bytes = bytesOf(trace.valueBytes[i]);
        if (found[i - from] === 0) model.add(trace.keys[i], bytes);
      }
    },
    held: () => ({ records: model.count, bytes: 0 }),
  };
}

/** What a record takes in Ingot where no chunk has a slot too many. */
export function ingotBytes(valueBytes: number): number {
  return SLOT_BYTES[classOfRecord(RECORD_HEADER_BYTES + KEY_BYTES + valueBytes)] + INDEX_BYTES;
}

/** What a record takes in Redis 7.0: dictEntry, key, value, each in a class of jemalloc's; and its share of the table. */
export function redisBytes(valueBytes: number): number {
  const text = (bytes: number): number => jemallocBytes(bytes + 1 + (bytes < 256 ? 3 : 5));
  const robj = 16;
  const embedded = jemallocBytes(robj + 4 + valueBytes);
  const inRobj = valueBytes <= 44 ? embedded : robj + text(valueBytes);
  return 32 + text(KEY_BYTES) + inRobj + 12;
}

/** Sizes step by 16 to 128, then by a quarter of the power of two below. */
function jemallocBytes(bytes: number): number {
  const step = bytes <= 128 ? 16 : 2 ** (Math.ceil(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}

/** Asked by TOUCH, which counts as a read there and answers little. */
export class RedisSide implements Side {
  readonly name = 'redis allkeys-lru';
  readonly #socket: Socket;
  readonly #replies: Buffer = Buffer.allocUnsafe(1 << 16);
  #replyBytes = 0;
  #wanted = 0;
  #onReply: () => void = () => {};
  /** What the server takes with no records in it. */
  #emptyBytes = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#replyBytes += data.copy(this.#replies, this.#replyBytes);
      if (this.#replies[0] === MINUS) this.#wanted = 1;
      if (this.#replyBytes >= this.#wanted) this.#onReply();
    });
  }

  /** Records may take `bytes` beyond what the empty server takes. */
  static async connect(port: number, bytes: number): Promise<RedisSide> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const side = new RedisSide(socket);
    side.#emptyBytes = await side.#infoNumber('memory', 'used_memory');
    const maxmemory = side.#emptyBytes + bytes;
    await side.#ask(`CONFIG SET maxmemory ${maxmemory} maxmemory-policy allkeys-lru\r\n`, 5);
    return side;
  }

  async run(trace: Trace, from: number, end: number, found: Uint8Array): Promise<void> {
    let touches = '';
    for (let i = from; i < end; i++) {
      touches += `*2\r\n$5\r\nTOUCH\r\n$${KEY_BYTES}\r\n${nameOf(trace.keys[i])}\r\n`;
    }
    const touched = await this.#ask(touches, 4 * (end - from));
    for (let i = 0; i < end - from; i++) found[i] = touched[4 * i + 1] === 0x31 ? 1 : 0;
    const sets: Buffer[] = [];
    for (let i = from; i < end; i++) {
      if (found[i - from] === 1) continue;
      const valueBytes = trace.valueBytes[i];
      const head = `*3\r\n$3\r\nSET\r\n$${KEY_BYTES}\r\n${nameOf(trace.keys[i])}\r\n$${valueBytes}\r\n`;
      sets.push(Buffer.from(head, 'latin1'), value.subarray(0, valueBytes), LINE_END);
    }
    if (sets.length > 0) await this.#ask(Buffer.concat(sets), (5 * sets.length) / 3);
  }

  async held(): Promise<Held> {
    const used = await this.#infoNumber('memory', 'used_memory');
    const keyspace = await this.#info('keyspace');
    const records = Number(/keys=(\d+)/.exec(keyspace)?.[1] ?? 0);
    return { records, bytes: used - this.#emptyBytes };
  }

  close(): void {
    this.#socket.destroy();
  }

  async #infoNumber(section: string, name: string): Promise<number> {
    return Number(new RegExp(`${name}:(\\d+)`).exec(await this.#info(section))?.[1]);
  }

  async #info(section: string): Promise<string> {
    let text = (await this.#ask(`INFO ${section}\r\n`, 1)).toString('latin1');
    const wholeBytes = text.indexOf('\n') + 3 + Number.parseInt(text.slice(1), 10);
    // The rest of it may come in a packet of its own.
    while (text.length < wholeBytes) {
      await once(this.#socket, 'data');
      text = this.#replies.toString('latin1', 0, this.#replyBytes);
    }
    return text;
  }

  /** Sends commands and resolves with their replies, which are as many bytes, or with an error thrown. */
  async #ask(commands: string | Buffer, replyBytes: number): Promise<Buffer> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#replyBytes = 0;
    this.#wanted = replyBytes;
    this.#onReply = resolve;
    this.#socket.write(commands, 'latin1');
    await promise;
    const reply = this.#replies.subarray(0, this.#replyBytes);
    if (reply[0] === MINUS || reply.includes('\n-')) throw new Error(reply.toString('latin1'));
    return reply;
  }
}
