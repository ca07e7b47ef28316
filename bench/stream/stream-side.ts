/** One side of a raw stream, `sender` or `receiver`, in the ways that are compared.
 *
 *  The sender offers a touched image for as long as a receiver is connected, from its first
 *  chunk on and over again: as CHUNK frames on a link of the product, four to a batch as its
 *  sender does, or as views of the same size on a bare socket. The receiver lands the bytes at
 *  their places in an image of its own, or all of them in one small buffer, which is to discard
 *  them. */
import { connect, createServer, type Socket } from 'node:net';
import { crc32 } from 'node:zlib';
import { ACK, CHUNK, type FrameHeader } from '../../packages/replication/src/frame.ts';
import {
  type Link,
  type LinkOwner,
  type LinkSecurity,
  listenForLinks,
  TcpLink,
} from '../../packages/replication/src/link.ts';
import { CHUNK_BYTES } from '../../packages/store/src/index.ts';
import { answerParent, cpuSeconds, type Totals } from './children.ts';

export type Transport = 'link' | 'bare';

export type StreamQuestion =
  | { readonly kind: 'totals' }
  /** Receiver: connects; answered once the first bytes have landed. */
  | {
      readonly kind: 'connect';
      readonly transport: Transport;
      readonly port: number;
      readonly lands: boolean;
    }
  | { readonly kind: 'disconnect' }
  /** crc32 of the image. */
  | { readonly kind: 'checksum' };

export type SenderPorts = Readonly<Record<Transport, number>>;

const HOST = '127.0.0.1';
const BATCH_CHUNKS = 4;
const BATCH_BYTES = BATCH_CHUNKS * CHUNK_BYTES;
const SECURITY: LinkSecurity = {
  nodeId: 'sender',
  secret: null,
  certificates: null,
  refused: () => {},
  refusedHandshake: () => {},
};

const [, , side, imageBytes] = process.argv;
const image = Buffer.from(new SharedArrayBuffer(Number(imageBytes)));
const chunkCount = image.length / CHUNK_BYTES;
let bytes = 0;

if (side === 'sender') await beSender();
else beReceiver();

function chunkAt(chunk: number): Buffer {
  return image.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
}

function totals(): Totals {
  return { bytes, cpuSeconds: cpuSeconds(), atSeconds: Number(process.hrtime.bigint()) / 1e9 };
}

// ------------------------------------------------------------ sender

async function beSender(): Promise<void> {
  for (let at = 0, word = 1; at < image.length; at += 4) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    image.writeUInt32LE(word, at);
  }
  const links = await listenForLinks(HOST, 0, SECURITY, sendOnLink);
  const server = createServer({ noDelay: true }, sendBare);
  server.listen(0, HOST, () => {
    const { port } = server.address() as { port: number };
    answerParent({ link: links.port, bare: port } satisfies SenderPorts, answer);
  });
}

function sendOnLink(link: Link): LinkOwner {
  let chunk = 0;
  const sendBatch = (): void => {
    const frames = Array.from({ length: BATCH_CHUNKS }, () => {
      const frame = { header: headerOf(CHUNK, chunk, CHUNK_BYTES), payload: chunkAt(chunk) };
      chunk = (chunk + 1) % chunkCount;
      return frame;
    });
    bytes += BATCH_BYTES;
    link.send(frames, sendBatch);
  };
  return {
    opened: () => {},
    closed: () => {},
    place: () => 'the receiver sends no payloads',
    // The receiver's first frame says that it is ready.
    frame: () => {
      sendBatch();
      return null;
    },
  };
}

function sendBare(socket: Socket): void {
  let chunk = 0;
  const sendBatch = (): void => {
    if (socket.destroyed) return;
    bytes += BATCH_BYTES;
    socket.cork();
    for (let left = BATCH_CHUNKS; left > 0; left--) {
      // As the link does: where the kernel accepts at once, callbacks would leave nothing
      // else a turn.
      const done = left > 1 ? undefined : (): unknown => setImmediate(sendBatch);
      socket.write(chunkAt(chunk), done);
      chunk = (chunk + 1) % chunkCount;
    }
    socket.uncork();
  };
  socket.on('error', () => {});
  sendBatch();
}

function headerOf(type: number, chunk: number, payloadBytes: number): FrameHeader {
  const rest = { flags: 0, epoch: 1, seq: 1, generation: 1, clockMs: 1, payloadCrc32: 0 };
  return { type, chunk, payloadBytes, ...rest };
}

// ------------------------------------------------------------ receiver

let disconnect = (): void => {};

function beReceiver(): void {
  image.fill(0xff); // every page touched
  answerParent(null, answer);
}

function receiveOnLink(port: number, lands: boolean, landed: () => void): void {
  const discarded = Buffer.alloc(CHUNK_BYTES);
  const owner: LinkOwner = {
    opened: () => link.send([{ header: headerOf(ACK, 0, 0), payload: Buffer.alloc(0) }]),
    closed: () => {},
    place: ({ chunk }) => (lands ? chunkAt(chunk) : discarded),
    frame: (_, payload) => {
      bytes += payload.length;
      landed();
      return null;
    },
  };
  const link = TcpLink.connect({ host: HOST, port, node: 'sender' }, SECURITY, owner);
  disconnect = () => link.close('measured');
}

function receiveBare(port: number, lands: boolean, landed: () => void): void {
  const discarded = Buffer.alloc(CHUNK_BYTES);
  let at = 0;
  const socket = connect({
    port,
    host: HOST,
    onread: {
      buffer: lands ? () => image.subarray(at, at + CHUNK_BYTES) : discarded,
      callback: (count) => {
        bytes += count;
        at = (at + count) % image.length;
        landed();
        return true;
      },
    },
  });
  socket.on('error', () => {});
  disconnect = () => socket.destroy();
}

function answer(asked: unknown): unknown {
  const question = asked as StreamQuestion;
  switch (question.kind) {
    case 'totals':
      return totals();
    case 'checksum':
      return crc32(image);
    case 'disconnect':
      return disconnect();
    case 'connect': {
      const { transport, port, lands } = question;
      const { promise, resolve } = Promise.withResolvers<void>();
      if (transport === 'link') receiveOnLink(port, lands, resolve);
      else receiveBare(port, lands, resolve);
      return promise;
    }
  }
}
