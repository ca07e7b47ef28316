/** Why a node and a peer part before a word is said: one row per reason, used by both rooms that
 *  open connections.
 *
 *  The index is the code on the wire (`preamble.ts`): append only. A reason is also the label of
 *  the metric `ingot_peers_refused_total`. Every sentence says which side must change; none
 *  tells a stranger more than that the door is shut. */

export const PEER_REFUSAL_REASONS = [
  'stranger',
  'noSecret',
  'noSecretHere',
  'otherSecret',
  'version',
  'port',
  'otherNode',
  'timeout',
  'noTls',
  'noTlsHere',
  'certificate',
  'certificateName',
] as const;
export type PeerRefusalReason = (typeof PEER_REFUSAL_REASONS)[number];

export interface PeerRefusal {
  readonly reason: PeerRefusalReason;
  /** One sentence: what is wrong, and what to do about it. */
  readonly text: string;
}

const TEXTS: Readonly<Record<PeerRefusalReason, string>> = {
  stranger: 'the peer does not speak this protocol: check the address and the port',
  noSecret: 'the peer has no cluster secret: start it with the same --secret-file as this node',
  noSecretHere:
    'the peer has a cluster secret and this side has none: start this side with that --secret-file',
  otherSecret: 'the peer has another cluster secret: give both nodes the same --secret-file',
  version: 'the peer speaks another version of the preamble: run the same version of ingot on both',
  port: 'the peer listens for something else there: check the control and replication ports',
  otherNode:
    'another node than the one that was sought is at this address: check --advertise and the ports',
  timeout: 'the peer did not prove itself in time: check that it is an ingot node, and not stuck',
  noTls: 'the peer speaks no TLS: start it with --tls-cert, --tls-key and --tls-ca',
  noTlsHere: 'the peer speaks TLS: start this side with --tls-cert, --tls-key and --tls-ca',
  certificate: 'the certificate is not accepted: have it signed by the --tls-ca of both sides',
  certificateName: "the certificate does not name the node: its name must be the node's --id",
};

/** `detail` is put in front of the sentence, for what only the place of the refusal knows. */
export function peerRefusal(reason: PeerRefusalReason, detail: string = ''): PeerRefusal {
  return { reason, text: detail === '' ? TEXTS[reason] : `${detail}: ${TEXTS[reason]}` };
}

const OTHER_SIDE: Partial<Record<PeerRefusalReason, PeerRefusalReason>> = {
  noSecret: 'noSecretHere',
  noSecretHere: 'noSecret',
  noTls: 'noTlsHere',
  noTlsHere: 'noTls',
};

/** What the accepting side said of us, in the words of the connecting side. Secrets and TLS
 *  change sides. */
export function toldRefusal(reason: PeerRefusalReason): PeerRefusal {
  const seenFromHere = OTHER_SIDE[reason];
  if (seenFromHere !== undefined) return peerRefusal(seenFromHere);
  const isOurs = reason === 'certificate' || reason === 'certificateName';
  return peerRefusal(reason, isOurs ? 'the peer refused this side' : '');
}

/** Refusals by reason, none yet. */
export function createRefusalCounts(): Record<PeerRefusalReason, number> {
  const rows = PEER_REFUSAL_REASONS.map((reason) => [reason, 0]);
  return Object.fromEntries(rows) as Record<PeerRefusalReason, number>;
}
