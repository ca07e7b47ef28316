import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Gauge, Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type HttpRoutes, listenHttp } from './http.ts';

describe('http', () => {
  let server: Server;
  let reasons: string[];
  let flip: HttpRoutes['flip'] = null;
  const registry = new Registry();
  const gauge = new Gauge({ name: 'ingot_test', help: 'A value', registers: [registry] });

  beforeEach(async () => {
    reasons = [];
    flip = (query) => {
      if (query.get('partition') === '7') return 'flipped';
      throw new RangeError('no such copy');
    };
    const { contentType } = registry;
    const metrics = () => registry.metrics();
    const routes = { contentType, metrics, notReady: () => reasons, flip };
    server = await listenHttp(routes, '127.0.0.1', 0);
  });
  afterEach(() => {
    server.close();
    server.closeAllConnections();
  });

  const get = async (path: string, method = 'GET') => {
    const { port } = server.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      body: await response.text(),
    };
  };

  test('/metrics answers in the text format of Prometheus', async () => {
    gauge.set(42);
    const { status, type, body } = await get('/metrics');
    expect(status).toBe(200);
    expect(type).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(body).toContain('ingot_test 42\n');
  });

  test('/healthz answers as long as the process lives, ready or not', async () => {
    reasons = ['partition 3 is syncing'];
    expect(await get('/healthz')).toMatchObject({ status: 200, body: 'alive\n' });
  });

  test('/readyz says why not, one reason per line', async () => {
    expect(await get('/readyz')).toMatchObject({ status: 200, body: 'ready\n' });
    reasons = ['no cluster map yet', 'partition 3 is syncing'];
    const { status, body } = await get('/readyz');
    expect(status).toBe(503);
    expect(body).toBe('not ready\nno cluster map yet\npartition 3 is syncing\n');
  });

  test('a query string does not matter, other paths and methods are refused', async () => {
    expect((await get('/healthz?from=probe')).status).toBe(200);
    expect((await get('/nothing')).status).toBe(404);
    expect((await get('/metrics', 'POST')).status).toBe(405);
  });

  test('the test door is open only where the node was told so', async () => {
    expect(await get('/test/flip?partition=7', 'POST')).toMatchObject({
      status: 200,
      body: 'flipped\n',
    });
    expect((await get('/test/flip?partition=8', 'POST')).status).toBe(400);
  });
});
