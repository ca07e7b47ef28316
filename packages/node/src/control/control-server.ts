/** The control port of a node. It listens before the node is a member, so that a port in use is
 *  found out before anybody is told of the node; until `serve` is called, callers are told to try
 *  again.
 *  Every connection passes the preamble before gRPC gets it: no byte of HTTP/2 is read from a peer
 *  that has not proved itself.
 *  Bounded: `unprovedMax` connections that have not. One more ends the oldest of them, because who
 *  can prove itself does so at once. */
import { createServer, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type Server as TlsServer,
  type TLSSocket,
} from 'node:tls';
import { logVerbosity, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import {
  AcceptingPreamble,
  type Certificates,
  certificateRefusal,
  divideByTls,
  isNamed,
  type PeerRefusal,
  peerRefusal,
  tlsOptions,
  tlsRefusal,
} from '@ingot/replication';
import type { Credentials } from '../shared/credentials.ts';
import { portInUse, refusal } from '../shared/errors.ts';
import type { NodeId } from '../shared/map.ts';
import { PORT_FLAGS } from '../shared/settings.ts';
import { controlHandlers, type Member } from './control-service.ts';
import { Control } from './gen/ingot_pb.ts';
import { serviceParts } from './grpc-adapter.ts';
import { createGrpcServer } from './grpc-server.ts';
import { registerHandlers, type Voter } from './register-service.ts';
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
  readonly #grpc = createGrpcServer();
  readonly #injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
  readonly #listener = createServer((socket) => this.#connected(socket));
  readonly #tls: TlsServer | null;
  readonly #sockets = new Set<Socket>();
  /** By `host:port` of the peer. */
  readonly #encrypted = new Map<string, TLSSocket>();
  /** By `host:port`, those that have not; the oldest first. */
  readonly #unproved = new Map<string, Socket>();
  #voter: Voter | null = null;
  #member: Member | null = null;

  constructor(options: ControlServerOptions) {
    const { certificates } = options.credentials;
    this.#options = options;
    this.#tls = certificates === null ? null : this.#listenForTls(certificates);
    const isNamed = (peer: string, node: NodeId): boolean => this.#isNamed(peer, node);
    const voter = (): Voter | null => this.#voter;
    this.#grpc.addService(
      ...serviceParts(Control, {
        ...controlHandlers(() => this.#member, isNamed),
        ...registerHandlers(voter, isNamed),
      }),
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

  /** The node knows its cluster, and is not in the map yet. */
  attend(voter: Voter): void {
    this.#voter = voter;
  }

  /** This life of the node is in the map. */
  serve(member: Member): void {
    this.#member = member;
  }

  close(): void {
    this.#member = null;
    this.#voter = null;
    this.#listener.close();
    this.#grpc.forceShutdown();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Certificates are looked up by the address that gRPC tells of a caller. */
  #isNamed(peer: string, node: NodeId): boolean {
    if (this.#options.credentials.certificates === null) return true;
    const socket = this.#encrypted.get(peer);
    return socket !== undefined && isNamed(socket, node);
  }

  #connected(socket: Socket): void {
    this.#sockets.add(socket);
    const peer = peerOf(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#unproved.delete(peer);
    });
    socket.on('error', () => undefined); // the end of the connection follows
    socket.setNoDelay(true);
    for (const [oldest, its] of this.#unproved) {
      if (this.#unproved.size < unprovedMax) break;
      this.#unproved.delete(oldest);
      its.destroy();
    }
    this.#unproved.set(peer, socket);
    const { certificates } = this.#options.credentials;
    if (certificates === null) return void this.#prove(socket, null);
    divideByTls(socket, {
      tls: () => this.#tls?.emit('connection', socket),
      plain: () => void this.#prove(socket, peerRefusal('noTls')),
    });
  }

  #listenForTls(certificates: Certificates): TlsServer {
    const options = { ...tlsOptions(certificates), ALPNProtocols: ['h2'] };
    const server = createTlsServer(options, (socket) => {
      const peer = peerOf(socket);
      socket.on('error', () => undefined);
      this.#encrypted.set(peer, socket);
      socket.once('close', () => this.#encrypted.delete(peer));
      void this.#prove(socket, certificateRefusal(socket, null));
    });
    server.on('tlsClientError', (error, socket) => {
      const refusal = tlsRefusal(error) ?? peerRefusal('stranger', error.message);
      this.#options.refused(socket.remoteAddress ?? 'unknown', refusal);
    });
    return server;
  }

  async #prove(socket: Socket, doubt: PeerRefusal | null): Promise<void> {
    const { node, credentials, refused } = this.#options;
    const host = socket.remoteAddress ?? 'unknown';
    try {
      const preamble = new AcceptingPreamble(controlPreamble(credentials, node));
      await passPreamble(socket, preamble, doubt);
    } catch (error) {
      if (error instanceof PeerRefused) refused(host, error.refusal);
      else socket.destroy();
      return;
    }
    this.#unproved.delete(peerOf(socket));
    this.#injector.injectConnection(socket);
  }
}

/** As gRPC writes the peer of a call. */
const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress}:${remotePort}`;
