/** A gRPC server that a broken request cannot end.
 *
 *  Node tells of a stream a moment after its request was read. Where the same bytes have ended it by
 *  then, grpc-js answers all the same if it does not know the method or the content type: Node
 *  throws, outside of every handler, and the process would end. Such a stream is nobody's by then,
 *  and is let go here. `_streamHandler` is no part of grpc-js's interface: a test looks for it. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { Server } from '@grpc/grpc-js';
import { channelOptions } from './grpc-adapter.ts';

type StreamHandler = (
  interceptors: unknown,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
) => void;

export function createGrpcServer(): Server {
  const server = new Server(channelOptions);
  const inside = server as unknown as { _streamHandler: StreamHandler };
  const handle = inside._streamHandler.bind(server);
  inside._streamHandler = (interceptors, stream, headers) => {
    if (!stream.destroyed && !stream.closed) handle(interceptors, stream, headers);
    // Its error, if there is one, is of no use to anybody.
    else stream.on('error', () => undefined);
  };
  return server;
}
