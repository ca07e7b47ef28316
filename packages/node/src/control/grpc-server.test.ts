import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { ServerCredentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createGrpcServer } from './grpc-server.ts';

const UNIMPLEMENTED = '12';
const BROKEN = '/broken';
/** Published while the request is read, before the server hears of it. */
const CREATED = 'http2.server.stream.created';

const grpc = createGrpcServer();
const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
const listener = createServer((socket) => injector.injectConnection(socket));
let session: ClientHttp2Session;
let broken: number;
let thrown: unknown[];
const note = (error: unknown): void => void thrown.push(error);
const breakOff = (message: unknown): void => {
  const { stream, headers } = message as {
    stream: ServerHttp2Stream;
    headers: Readonly<Record<string, string>>;
  };
  if (headers[':path'] !== BROKEN) return;
  broken++;
  stream.destroy();
};

beforeEach(async () => {
  broken = 0;
  thrown = [];
  process.on('uncaughtException', note);
  subscribe(CREATED, breakOff);
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  session = connect(`http://127.0.0.1:${(listener.address() as AddressInfo).port}`);
  await once(session, 'connect');
});
afterEach(() => {
  session.destroy();
  listener.close();
  grpc.forceShutdown();
  unsubscribe(CREATED, breakOff);
  process.off('uncaughtException', note);
});

function ask(path: string, type: string): ReturnType<ClientHttp2Session['request']> {
  return session.request({ ':method': 'POST', ':path': path, 'content-type': type });
}

test('a request that ended while it was read is let go, and others are answered', async () => {
  for (const type of ['application/grpc', 'text/plain']) {
    await once(ask(BROKEN, type), 'close');
  }
  const [headers] = await once(ask('/no/such', 'application/grpc'), 'response');
  expect(headers['grpc-status']).toBe(UNIMPLEMENTED);
  expect(broken).toBe(2);
  expect(thrown).toEqual([]);
});
