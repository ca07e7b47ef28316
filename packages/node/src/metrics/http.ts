/** The node's HTTP listener: /metrics, /healthz (the process is alive) and /readyz (it can serve);
 *  for tests of a node that was told so, POST /test/flip.
 *  Knows nothing of what is measured: it is given the text and the reasons not to be ready. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

export interface HttpRoutes {
  readonly contentType: string;
  readonly metrics: () => Promise<string>;
  /** why the node is not ready; empty when it is */
  readonly notReady: () => readonly string[];
  /** damages a copy and says how; throws a RangeError where it cannot. null: there is no such
   *  path */
  readonly flip: ((query: URLSearchParams) => string) | null;
}

const PLAIN = 'text/plain; charset=utf-8';

/** Rejects with the listener's error, such as EADDRINUSE. */
export async function listenHttp(routes: HttpRoutes, host: string, port: number): Promise<Server> {
  const server = createServer((request, response) => void answer(routes, request, response));
  server.listen(port, host);
  await once(server, 'listening');
  return server;
}

async function answer(
  { contentType, metrics, notReady, flip }: HttpRoutes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path, query = ''] = (request.url ?? '/').split('?', 2);
  if (flip !== null && request.method === 'POST' && path === '/test/flip') {
    sendFlipped(() => flip(new URLSearchParams(query)), response);
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(response, 405, PLAIN, 'only GET is answered here\n');
  } else if (path === '/metrics') {
    await sendMetrics(contentType, metrics, response);
  } else if (path === '/healthz') {
    send(response, 200, PLAIN, 'alive\n');
  } else if (path === '/readyz') {
    const reasons = notReady();
    if (reasons.length === 0) send(response, 200, PLAIN, 'ready\n');
    else send(response, 503, PLAIN, `not ready\n${reasons.join('\n')}\n`);
  } else {
    send(response, 404, PLAIN, 'here are /metrics, /healthz and /readyz\n');
  }
}

async function sendMetrics(
  contentType: string,
  metrics: HttpRoutes['metrics'],
  response: ServerResponse,
): Promise<void> {
  try {
    send(response, 200, contentType, await metrics());
  } catch (error) {
    send(response, 500, PLAIN, `metrics could not be collected: ${String(error)}\n`);
  }
}

function sendFlipped(flip: () => string, response: ServerResponse): void {
  try {
    send(response, 200, PLAIN, `${flip()}\n`);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    send(response, 400, PLAIN, `${error.message}\n`);
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  });
  response.end(body);
}
