/** A connection to a RESP server, for programs that ask many commands at once: a batch leaves in one write, and its
 *  replies come back in order. Errors of single commands are values; whatever ends the connection rejects all that
 *  is under way with ConnectionLost, after which nobody knows what of it was executed.
 *  Bounded by its caller: by what one batch asks for. Knows nothing of what is asked. */
import { Buffer } from 'node:buffer';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ReplyScanner } from './reply-scanner.ts';
import { ReplyError, replyValue, type ReplyValue } from './reply-value.ts';

export type Command = readonly (string | Uint8Array)[];

export interface RespAddress {
  readonly host: string;
  readonly port: number;
  /** null: no TLS. `ca`: of the server's certificate; null: those that the system trusts. */
  readonly tls: { readonly ca: Buffer | null } | null;
  /** null: none is given. */
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
}

export class ConnectionLost extends Error {}

/** The server has answered, and will have nothing to do with us: asking again helps nothing. */
export class Unwelcome extends Error {}

const OPEN_MS_MAX = 10_000;
/** A server that answers nothing for so long is taken for gone. */
const SILENCE_MS_MAX = 60_000;
/** Values from here on are handed to the socket as they are. */
const COPIED_BYTES_MAX = 4_096;
const CRLF: Buffer = Buffer.from('\r\n');

interface Batch {
  left: number;
  readonly replies: ReplyValue[];
  readonly resolve: (replies: ReplyValue[]) => void;
  readonly reject: (error: Error) => void;
}

export class RespClient {
  readonly #socket: Socket;
  readonly #scanner = new ReplyScanner();
  #batches: Batch[] = [];
  #lost: Error | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setTimeout(SILENCE_MS_MAX);
    socket.on('data', (data: Buffer) => this.#received(data));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#lose(error.code ?? error.message));
    socket.on('timeout', () => {
      if (this.#batches.length > 0) this.#lose('it has not answered for a minute');
    });
    socket.on('close', () => this.#lose('it has closed the connection'));
  }

  /** Connected, let in, and with the database chosen. Rejects with ConnectionLost or Unwelcome. */
  static async open(address: RespAddress): Promise<RespClient> {
    const client = new RespClient(await connected(address));
    const { username, password, database } = address;
    const commands: Command[] = [];
    if (password !== null) {
      commands.push(username === null ? ['AUTH', password] : ['AUTH', username, password]);
    }
    if (database !== 0) commands.push(['SELECT', String(database)]);
    commands.push(['PING']);
    const refused = (await client.ask(commands)).find((reply) => reply instanceof ReplyError);
    if (refused === undefined) return client;
    client.close();
    throw /^(LOADING|MASTERDOWN|BUSY) /.test(refused.text)
      ? new ConnectionLost(refused.text)
      : new Unwelcome(refused.text);
  }

  /** One reply for each command. */
  ask(commands: readonly Command[]): Promise<ReplyValue[]> {
    if (this.#lost !== null) return Promise.reject(this.#lost);
    if (commands.length === 0) return Promise.resolve([]);
    const { promise, resolve, reject } = Promise.withResolvers<ReplyValue[]>();
    this.#batches.push({ left: commands.length, replies: [], resolve, reject });
    this.#write(commands);
    return promise;
  }

  close(): void {
    this.#lose('it was closed here');
  }

  #write(commands: readonly Command[]): void {
    const socket = this.#socket;
    socket.cork();
    let small: Buffer[] = [];
    for (const command of commands) {
      small.push(Buffer.from(`*${command.length}\r\n`));
      for (const part of command) {
        const bytes = typeof part === 'string' ? Buffer.from(part) : part;
        small.push(Buffer.from(`$${bytes.length}\r\n`));
        if (bytes.length <= COPIED_BYTES_MAX) small.push(asBuffer(bytes), CRLF);
        else {
          socket.write(Buffer.concat(small));
          socket.write(bytes);
          small = [CRLF];
        }
      }
    }
    socket.write(Buffer.concat(small));
    socket.uncork();
  }

  #received(data: Buffer): void {
    const scanner = this.#scanner;
    scanner.push(data);
    while (scanner.next()) {
      const batch = this.#batches.at(0);
      if (batch === undefined) return this.#lose('it has answered what was not asked');
      batch.replies.push(replyValue(scanner.buffer, scanner.start, scanner.end));
      if (--batch.left > 0) continue;
      this.#batches.shift();
      batch.resolve(batch.replies);
    }
    if (scanner.invalid) this.#lose('it does not speak the Redis protocol');
  }

  #lose(why: string): void {
    if (this.#lost !== null) return;
    this.#lost = new ConnectionLost(why);
    this.#socket.destroy();
    const batches = this.#batches;
    this.#batches = [];
    for (const { reject } of batches) reject(this.#lost);
  }
}

function connected({ host, port, tls }: RespAddress): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket =
    tls === null
      ? connect({ host, port })
      : connectTls({
          ...{ host, port },
          ...(isIP(host) === 0 ? { servername: host } : {}),
          ...(tls.ca === null ? {} : { ca: tls.ca }),
        });
  const failed = (why: string): void => {
    socket.destroy();
    reject(new ConnectionLost(why));
  };
  const onError = (error: NodeJS.ErrnoException): void => failed(error.code ?? error.message);
  const onTimeout = (): void => failed('it does not answer');
  socket.setTimeout(OPEN_MS_MAX, onTimeout);
  socket.once('error', onError);
  socket.once(tls === null ? 'connect' : 'secureConnect', () => {
    socket.off('error', onError);
    socket.off('timeout', onTimeout);
    resolve(socket);
  });
  return promise;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
