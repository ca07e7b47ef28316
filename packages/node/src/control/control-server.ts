/** The control port of a node. It listens before the node is a member, so that a port in use is
 *  found out before anybody is told of the node; until `serve` is called, callers are told to try
 *  again.
 *  Every connection passes the preamble before gRPC gets it: no byte of HTTP/2 is read from a peer
 *  that has not proved itself.
 *  Bounded: `unprovedMax` connections that have not. */
import { createServer, type Socket } from 'node:net';
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { AcceptingPreamble, type PeerRefusal } from '@ingot/replication';
import type { Credentials } from '../shared/credentials.ts';
import { portInUse, refusal } from '../shared/errors.ts';
import { PORT_FLAGS } from '../shared/settings.ts';
import { controlHandlers, type Member } from './control-service.ts';
import { Control } from './gen/ingot_pb.ts';
import { channelOptions, serviceParts } from './grpc-adapter.ts';
import { controlPreamble, passPreamble, PeerRefused } from './proved-socket.ts';

// Whatever goes wrong arrives as an error, and is said once, in the node's own words.
setLogVerbosity(logVerbosity.NONE);

const unprovedMax = 256;

export interface ControlServerOptions {
  /** Id of this node. */
  readonly node: string;
  readonly credentials: Credentials;
  readonly refused: (host: string, refusal: PeerRefusal) => void;
}

export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #grpc = new Server(channelOptions);
  readonly #injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
  readonly #listener = createServer((socket) => void this.#accept(socket));
  readonly #sockets = new Set<Socket>();
  #unproved = 0;
  #member: Member | null = null;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#grpc.addService(
      ...serviceParts(
        Control,
        controlHandlers(() => this.#member),
      ),
    );
  }

  /** Rejects with an IngotError where the port cannot be had. */
  async listen(host: string, port: number): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#listener.once('error', reject);
        this.#listener.listen(port, host, resolve);
      });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'EADDRINUSE') throw portInUse(PORT_FLAGS.control, host, port);
      throw refusal(
        'CANNOT_BIND',
        `port ${port} on ${host} cannot be opened (${message}); ` +
          `check --host and ${PORT_FLAGS.control}`,
      );
    }
    // A connection that failed to be accepted is the peer's to retry.
    this.#listener.on('error', () => undefined);
  }

  serve(member: Member): void {
    this.#member = member;
  }

  close(): void {
    this.#member = null;
    this.#listener.close();
    this.#grpc.forceShutdown();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #accept(socket: Socket): Promise<void> {
    const { node, credentials, refused } = this.#options;
    const host = socket.remoteAddress ?? 'unknown';
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined); // the end of the connection follows
    socket.setNoDelay(true);
    if (this.#unproved >= unprovedMax) return void socket.destroy();
    this.#unproved++;
    try {
      await passPreamble(socket, new AcceptingPreamble(controlPreamble(credentials, node)));
    } catch (error) {
      if (error instanceof PeerRefused) refused(host, error.refusal);
      else socket.destroy();
      return;
    } finally {
      this.#unproved--;
    }
    this.#injector.injectConnection(socket);
  }
}
