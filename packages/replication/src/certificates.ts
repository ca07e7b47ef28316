/** TLS between nodes: what both sides ask of each other, and what a failure means. Used by
 *  `link.ts` and by the control connections of a node.
 *
 *  Both sides show a certificate that the cluster's CA has signed, and whose name is a node id. Node
 *  is told not to reject by itself (`rejectUnauthorized: false`), so that a refused peer can be told
 *  why: `certificateRefusal` must be asked before a byte of the peer is used. */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type { ConnectionOptions, TlsOptions, TLSSocket } from 'node:tls';
import { type PeerRefusal, peerRefusal } from './peer-refusals.ts';

/** PEM texts; structured clone can copy them. */
export interface Certificates {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

const handshakeTimeoutMs = 3_000;
/** RFC 8446, 5.1: the type of a record. */
const TLS_HANDSHAKE = 22;

/** Kept from the handshake: a socket that HTTP/2 has taken over no longer tells. */
const shown = new WeakMap<TLSSocket, X509Certificate>();

type Options = ConnectionOptions & TlsOptions;

/** For `tls.connect` and `tls.createServer` alike. */
export function tlsOptions({ cert, key, ca }: Certificates): Options {
  return {
    cert,
    key,
    ca,
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: handshakeTimeoutMs,
    // A node is known by its id, not by its address: see `isNamed`.
    checkServerIdentity: () => undefined,
  };
}

/** Why the certificate that the peer has shown is not believed; null: it is. `node`: the id that it
 *  must name, null where that is not known yet. */
export function certificateRefusal(socket: TLSSocket, node: string | null): PeerRefusal | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate !== undefined) shown.set(socket, certificate);
  if (!socket.authorized) {
    const code = String(socket.authorizationError ?? 'none shown');
    return peerRefusal('certificate', WORDS[code] ?? code);
  }
  if (node === null || isNamed(socket, node)) return null;
  return peerRefusal('certificateName', `the certificate of ${subjectOf(socket)} is not ${node}'s`);
}

/** Whether the peer's certificate has this very name, as a DNS name or as its common name. False
 *  before `certificateRefusal` was asked. */
export function isNamed(socket: TLSSocket, node: string): boolean {
  const certificate = shown.get(socket);
  return certificate?.checkHost(node, { subject: 'always', wildcards: false }) === node;
}

/** What a TLS handshake that failed says of the peer; null: nothing, the network failed. */
export function tlsRefusal(error: Error): PeerRefusal | null {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (/WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH|RECORD_TYPE/.test(code)) {
    return peerRefusal('noTls');
  }
  if (/HANDSHAKE_TIMEOUT/.test(code)) return peerRefusal('timeout');
  if (code.startsWith('ERR_SSL')) return peerRefusal('certificate', message);
  return null;
}

/** Looks at the first byte of a connection to a TLS port, and leaves it there: a peer that speaks no
 *  TLS can be told so, which Node's TLS server would not do. */
export function divideByTls(
  socket: Socket,
  take: { readonly tls: (socket: Socket) => void; readonly plain: (socket: Socket) => void },
): void {
  const timer = setTimeout(() => socket.destroy(), handshakeTimeoutMs);
  const failed = (): void => void socket.destroy();
  socket.on('error', failed);
  socket.once('close', () => clearTimeout(timer));
  socket.once('readable', () => {
    const head = socket.read(1) as Buffer | null;
    clearTimeout(timer);
    socket.off('error', failed);
    if (head === null) return failed();
    socket.unshift(head);
    (head[0] === TLS_HANDSHAKE ? take.tls : take.plain)(socket);
  });
}

function subjectOf(socket: TLSSocket): string {
  const { subject = '', subjectAltName = '' } = shown.get(socket) ?? {};
  return [subject, subjectAltName].filter((text) => text !== '').join(' ') || 'nobody';
}

/** OpenSSL's words for what is most often wrong. */
const WORDS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet; check the clocks',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'another CA has signed it',
  SELF_SIGNED_CERT_IN_CHAIN: 'another CA has signed it',
  UNABLE_TO_GET_ISSUER_CERT: 'another CA has signed it, or none was shown',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'another CA has signed it',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'another CA has signed it',
  CERT_SIGNATURE_FAILURE: 'another CA has signed it',
};
