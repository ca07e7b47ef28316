/** How a gRPC channel proves itself: grpc-js hands each TCP connection to its channel credentials
 *  before it speaks HTTP/2. Here TLS is put on it, where there are certificates, and the preamble
 *  runs inside. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { CallCredentials, ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';
import {
  type Certificates,
  certificateRefusal,
  ConnectingPreamble,
  isNamed,
  type PeerRefusal,
  peerRefusal,
  tlsOptions,
  tlsRefusal,
} from '@ingot/replication';
import { type Credentials, NO_CREDENTIALS } from '../shared/credentials.ts';
import { controlPreamble, passPreamble, PeerRefused } from './proved-socket.ts';

type Opened = Awaited<ReturnType<SecureConnector['connect']>>;
type SecureConnector = ReturnType<ChannelCredentials['_createSecureConnector']>;
type Target = Parameters<ChannelCredentials['_createSecureConnector']>[0];

/** How this process opens control connections. */
export interface ControlAccess {
  readonly credentials: Credentials;
  /** A connection to `address` was up and ended in the preamble. */
  readonly refused: (address: string, refusal: PeerRefusal) => void;
}

/** Without a secret, and nobody is told of refusals. */
export const PLAIN_ACCESS: ControlAccess = {
  credentials: NO_CREDENTIALS,
  refused: () => undefined,
};

export class PeerCredentials extends ChannelCredentials {
  readonly #access: ControlAccess;
  readonly #address: string;
  readonly #node: string | null;
  #lastRefusal: PeerRefusal | null = null;
  #peer: TLSSocket | null = null;

  /** `node`: the id of the node that must be at `address`; null: whoever holds the secret. */
  constructor(access: ControlAccess, address: string, node: string | null) {
    super();
    this.#access = access;
    this.#address = address;
    this.#node = node;
  }

  /** Why the last connection ended in the preamble; null if it did not. */
  get lastRefusal(): PeerRefusal | null {
    return this.#lastRefusal;
  }

  /** Whether the peer shows a certificate, and may so far be whoever the CA has signed. */
  get isOfAnyNode(): boolean {
    return this.#node === null && this.#access.credentials.certificates !== null;
  }

  /** Why the node at the other end is none of these, by its certificate; null: it is one. */
  refusalAmong(nodes: readonly string[]): PeerRefusal | null {
    const peer = this.#peer;
    if (peer === null || nodes.some((node) => isNamed(peer, node))) return null;
    return peerRefusal('certificateName', 'it names no node of the cluster map');
  }

  override _isSecure(): boolean {
    return this.#access.credentials.certificates !== null;
  }

  /** Never shared between channels, so that each knows its own refusals. */
  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    _target: Target,
    _options: ChannelOptions,
    callCredentials: CallCredentials = CallCredentials.createEmpty(),
  ): SecureConnector {
    return {
      connect: (socket) => this.#open(socket),
      waitForReady: async () => undefined,
      getCallCredentials: () => callCredentials,
      destroy: () => undefined,
    };
  }

  async #open(raw: Socket): Promise<Opened> {
    const { credentials, refused } = this.#access;
    const preamble = new ConnectingPreamble(controlPreamble(credentials, this.#node), true);
    try {
      const socket = await this.#encrypted(raw, credentials.certificates);
      await passPreamble(socket, preamble);
      this.#lastRefusal = null;
      return { socket, secure: socket !== raw };
    } catch (error) {
      raw.destroy();
      this.#lastRefusal = error instanceof PeerRefused ? error.refusal : null;
      if (this.#lastRefusal !== null) refused(this.#address, this.#lastRefusal);
      throw error;
    }
  }

  async #encrypted(raw: Socket, certificates: Certificates | null): Promise<Socket> {
    if (certificates === null) return raw;
    const peer = await tlsOver(raw, certificates);
    const doubt = certificateRefusal(peer, this.#node);
    if (doubt !== null) throw new PeerRefused(doubt);
    this.#peer = peer;
    return peer;
  }
}

async function tlsOver(raw: Socket, certificates: Certificates): Promise<TLSSocket> {
  const socket = connectTls({ socket: raw, ...tlsOptions(certificates), ALPNProtocols: ['h2'] });
  try {
    await once(socket, 'secureConnect');
    return socket;
  } catch (error) {
    const refusal = tlsRefusal(error as Error);
    throw refusal === null ? error : new PeerRefused(refusal);
  }
}
