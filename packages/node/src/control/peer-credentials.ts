/** How a gRPC channel proves itself: grpc-js hands each TCP connection to its channel credentials
 *  before it speaks HTTP/2, and here the preamble runs on it. */
import { CallCredentials, ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';
import { ConnectingPreamble, type PeerRefusal } from '@ingot/replication';
import { type Credentials, NO_CREDENTIALS } from '../shared/credentials.ts';
import { controlPreamble, passPreamble, PeerRefused } from './proved-socket.ts';

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

  override _isSecure(): boolean {
    return false;
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
      connect: async (socket) => {
        await this.#prove(socket);
        return { socket, secure: false };
      },
      waitForReady: async () => undefined,
      getCallCredentials: () => callCredentials,
      destroy: () => undefined,
    };
  }

  async #prove(socket: Parameters<SecureConnector['connect']>[0]): Promise<void> {
    const options = controlPreamble(this.#access.credentials, this.#node);
    try {
      await passPreamble(socket, new ConnectingPreamble(options, true));
      this.#lastRefusal = null;
    } catch (error) {
      this.#lastRefusal = error instanceof PeerRefused ? error.refusal : null;
      if (this.#lastRefusal !== null) this.#access.refused(this.#address, this.#lastRefusal);
      throw error;
    }
  }
}
