/** connect-redis under express-session: HTTP servers, each with a store at a node of its own. Who has logged in
 *  at one of them is known to all; sessions end as they should. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RedisStore } from 'connect-redis';
import session, { type Session } from 'express-session';
import { createClient, createCluster } from 'redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { numbers } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import type { LocalCluster } from '../support/local-cluster.ts';

const HOUR_S = 3_600;
const PREFIX = 'sessions:';

// The library's types follow from its factory's arguments.
const connectTo = (port: number, password: string) =>
  createClient({ url: `redis://127.0.0.1:${port}`, password }).connect();
type Client = Awaited<ReturnType<typeof connectTo>>;

export function sessionCases(cluster: () => LocalCluster, password: string): void {
  describe('connect-redis with express-session', () => {
    let clients: Client[];
    let stores: RedisStore[];
    let sites: Site[];

    beforeAll(async () => {
      clients = await Promise.all(
        cluster().nodes.map(({ ports }) => connectTo(ports.client, password)),
      );
      stores = clients.map((client) => new RedisStore({ client, prefix: PREFIX }));
      sites = await Promise.all(stores.map((store) => Site.open(store)));
    });
    afterAll(async () => {
      await Promise.all(sites.map((site) => site.close()));
      await Promise.all(clients.map((client) => client.close()));
    });

    test('who logs in at one server is known at the others, until they log out', async () => {
      const cookie = await sites[0].login('ada');
      expect(await sites[1].visit('/me', cookie)).toEqual({ user: 'ada', views: 1 });
      expect(await sites[2].visit('/me', cookie)).toEqual({ user: 'ada', views: 2 });
      expect(await sites[0].visit('/me', cookie)).toEqual({ user: 'ada', views: 3 });
      expect(await sites[1].visit('/me', 'connect.sid=s%3Aforged.signature')).toEqual({});
      await sites[2].visit('/logout', cookie);
      for (const site of sites) expect(await site.visit('/me', cookie)).toEqual({});
      expect(await stores[0].length()).toBe(0);
    });

    test('logging in gives a new id, and the old one is gone', async () => {
      const before = await sites[0].login('eve');
      const after = await sites[1].login('ada', before);
      expect(after).not.toBe(before);
      expect(await sites[2].visit('/me', before)).toEqual({});
      expect(await sites[2].visit('/me', after)).toMatchObject({ user: 'ada' });
      await sites[0].visit('/logout', after);
    });

    test('a visit that changes nothing touches the session: its time begins anew', async () => {
      const cookie = await sites[0].login('ada');
      const name = PREFIX + idOf(cookie);
      expect(await clients[1].ttl(name)).toBeGreaterThan(HOUR_S - 60);
      await clients[1].expire(name, 60);
      expect(await sites[1].visit('/ping', cookie)).toEqual({ pong: true });
      expect(await clients[2].ttl(name)).toBeGreaterThan(HOUR_S - 60);
      await sites[0].visit('/logout', cookie);
    });

    test('a session whose time is over is gone at every server', async () => {
      const cookie = await sites[0].login('ada');
      const name = PREFIX + idOf(cookie);
      await clients[1].pExpire(name, 50);
      await eventually('it expires', async () => (await clients[2].exists(name)) === 0);
      for (const site of sites) expect(await site.visit('/me', cookie)).toEqual({});
    });

    test('a cookie that ends soon takes its session with it', async () => {
      const soon = { originalMaxAge: 100_000, expires: new Date(Date.now() + 100_000) };
      await stores[0].set('soon', { cookie: soon });
      expect(await clients[1].ttl(`${PREFIX}soon`)).toBeGreaterThan(0);
      expect(await clients[1].ttl(`${PREFIX}soon`)).toBeLessThanOrEqual(100);
      const over = { originalMaxAge: 100_000, expires: new Date(Date.now() - 1_000) };
      await stores[1].set('soon', { cookie: over });
      expect(await stores[2].get('soon')).toBeNull();
    });

    test('all, ids, length and clear see every session and nothing else', async () => {
      await allIdsLengthAndClear(stores);
    });

    test('the same through cluster clients', async () => {
      const clustered = await createCluster({
        rootNodes: cluster().nodes.map(({ ports }) => ({
          url: `redis://127.0.0.1:${ports.cluster}`,
        })),
        defaults: { password },
      }).connect();
      try {
        await allIdsLengthAndClear([
          new RedisStore({ client: clustered, prefix: PREFIX }),
          stores[1],
        ]);
        await allIdsLengthAndClear([
          stores[2],
          new RedisStore({ client: clustered, prefix: PREFIX }),
        ]);
      } finally {
        await clustered.close();
      }
    });

    async function allIdsLengthAndClear(places: readonly RedisStore[]): Promise<void> {
      const [writer, reader] = [places[0], places[places.length - 1]];
      await clients[0].set('no session', '1');
      const ids = numbers(250).map((i) => `id${i}`);
      const cookie = { originalMaxAge: null };
      await Promise.all(ids.map((id, i) => writer.set(id, { cookie, views: i })));
      expect(((await reader.ids()) as string[]).sort()).toEqual([...ids].sort());
      expect(await reader.length()).toBe(250);
      const all = (await reader.all()) as { id: string; views: number }[];
      expect(new Map(all.map(({ id, views }) => [id, views]))).toEqual(
        new Map(ids.map((id, i) => [id, i])),
      );
      await reader.destroy('id0');
      expect(await writer.get('id0')).toBeNull();
      await reader.clear();
      expect(await writer.length()).toBe(0);
      expect(await writer.all()).toEqual([]);
      expect(await clients[0].exists('no session')).toBe(1);
    }
  });
}

declare module 'express-session' {
  interface SessionData {
    user?: string;
    views?: number;
  }
}

type Request = IncomingMessage & { session: Session & session.SessionData };

/** One server of the application. */
class Site {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(store: RedisStore): Promise<Site> {
    const cookie = { maxAge: HOUR_S * 1000 };
    const sessions = session({
      ...{ store, cookie, secret: 'of the test', resave: false, saveUninitialized: false },
    });
    type Parameters = globalThis.Parameters<typeof sessions>;
    const server = createServer((request, response) => {
      sessions(request as Parameters[0], response as unknown as Parameters[1], (error) => {
        if (error === undefined) answer(request as Request, response);
        else response.writeHead(500).end(JSON.stringify({ error: String(error) }));
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    return new Site(server);
  }

  /** The cookie that it sets. Its headers come before the session is saved, the end of its body after that. */
  async login(user: string, cookie = ''): Promise<string> {
    const response = await this.#fetch(`/login?user=${user}`, cookie);
    await response.text();
    const [set] = response.headers.getSetCookie();
    return set.split(';')[0];
  }

  async visit(path: string, cookie: string): Promise<unknown> {
    return (await this.#fetch(path, cookie)).json();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #fetch(path: string, cookie: string): Promise<Response> {
    const { port } = this.#server.address() as AddressInfo;
    return fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } });
  }
}

function answer(request: Request, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const say = (content: object): void => void response.end(JSON.stringify(content));
  switch (url.pathname) {
    case '/login':
      return void request.session.regenerate(() => {
        request.session.user = url.searchParams.get('user') ?? '';
        say({});
      });
    case '/logout':
      return void request.session.destroy((error: unknown) => say({ error }));
    case '/me': {
      const { user, views = 0 } = request.session;
      if (user === undefined) return say({});
      request.session.views = views + 1;
      return say({ user, views: views + 1 });
    }
    default:
      return say({ pong: true });
  }
}

/** `connect.sid=s%3AID.SIGNATURE` */
function idOf(cookie: string): string {
  return decodeURIComponent(cookie)
    .replace(/^connect\.sid=s:/, '')
    .split('.')[0];
}
