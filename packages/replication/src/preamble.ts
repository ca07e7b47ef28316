/** The preamble: both ends of a connection prove that they hold the cluster's secret, before
 *  anything else is parsed.
 *
 *       connecting                                             accepting
 *       OPENING (nonce, whom it looks for)  ----------------->
 *                                           <-----------------  CHALLENGE (nonce)
 *       PROOF   (HMAC over both)            ----------------->  wrong? REFUSAL, closed
 *                                           <-----------------  ANSWER (HMAC over both)
 *
 *  A proof is HMAC-SHA256(secret, role label, OPENING, CHALLENGE): fresh by either side's nonce,
 *  worth nothing in the other role (label), on the other port (purpose in OPENING) or at another
 *  node (target in OPENING). The connecting side proves itself first, so that a stranger gets
 *  nothing to guess the secret by.
 *
 *  Pure: bytes in, bytes and an outcome out; nonces are passed in. Never takes a byte that
 *  belongs to what follows: it asks for the first 4 bytes of a message, then for the rest. A
 *  side without a secret proves nothing, but notices that the other has one. Used by replication
 *  (under the frames) and by control connections (under HTTP/2).
 *  Invariant: 'passed' with a secret means that the peer's HMAC was compared, whole, in constant
 *  time. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { defineLayout } from './layout.ts';
import {
  PEER_REFUSAL_REASONS,
  type PeerRefusal,
  type PeerRefusalReason,
  peerRefusal,
  toldRefusal,
} from './peer-refusals.ts';

export const PREAMBLE_VERSION = 1;
export const NONCE_BYTES = 32;
export const SECRET_BYTES_MIN = 16;
export const MESSAGE_BYTES = 72;
const MAGIC_BYTES = 4;
/** "INGP" as it lies in memory. */
const MAGIC: number = Buffer.from('INGP').readUInt32LE();

const MESSAGE_AT = defineLayout(
  [
    ['magic', 0, 4],
    ['version', 4, 1],
    ['kind', 5, 1],
    ['purpose', 6, 1],
    ['code', 7, 1],
    ['first', 8, 32],
    ['second', 40, 32],
  ],
  MESSAGE_BYTES,
);

const OPENING = 1;
const CHALLENGE = 2;
const PROOF = 3;
const ANSWER = 4;
const REFUSAL = 5;

/** The code of OPENING and CHALLENGE. */
const WITHOUT_SECRET = 0;
const WITH_SECRET = 1;

const PURPOSES = ['replication', 'control'] as const;
export type Purpose = (typeof PURPOSES)[number];

const CONNECTING_LABEL = 'ingot preamble 1, connecting side';
const ACCEPTING_LABEL = 'ingot preamble 1, accepting side';

export interface PreambleOptions {
  readonly purpose: Purpose;
  /** null: this node has none. */
  readonly secret: Uint8Array | null;
  /** Another one that connecting peers may prove themselves with, while it is being changed. */
  readonly otherSecret?: Uint8Array | null;
  /** `NONCE_BYTES` of chance, for this connection alone. */
  readonly nonce: Uint8Array;
  /** Connecting: the node that is looked for, null = whoever is there. Accepting: this node. */
  readonly node: string | null;
}

export interface PreambleStep {
  /** To be sent before anything else happens. */
  readonly send: Buffer | null;
  readonly outcome: 'more' | 'passed' | PeerRefusal;
}

const MORE: PreambleStep = { send: null, outcome: 'more' };
const PASSED: PreambleStep = { send: null, outcome: 'passed' };
const NOTHING: Buffer = Buffer.alloc(0);

const refused = (reason: PeerRefusalReason): PreambleStep => ({
  send: null,
  outcome: peerRefusal(reason),
});

/** What both sides do alike: gather messages, look at their head. */
abstract class Preamble {
  protected readonly options: PreambleOptions;
  readonly #bytes: Buffer = Buffer.alloc(MESSAGE_BYTES);
  #filled = 0;
  #neededBytes = MAGIC_BYTES;
  #wants = true;
  #leftOver: Buffer = NOTHING;

  constructor(options: PreambleOptions) {
    this.options = options;
  }

  /** Whether the next byte of the peer belongs to the preamble. */
  get wants(): boolean {
    return this.#wants;
  }

  /** Where the next bytes belong; no more than that may be read. */
  target(): Buffer {
    return this.#bytes.subarray(this.#filled, this.#neededBytes);
  }

  /** So many bytes arrived at the start of the last `target()`. */
  advance(bytes: number): PreambleStep {
    this.#filled += bytes;
    if (this.#filled < this.#neededBytes) return MORE;
    if (this.#neededBytes === MAGIC_BYTES) {
      if (this.#bytes.readUInt32LE(MESSAGE_AT.magic) !== MAGIC) {
        return this.#ended(this.withoutPreamble(this.#bytes.subarray(0, MAGIC_BYTES)));
      }
      this.#neededBytes = MESSAGE_BYTES;
      return MORE;
    }
    this.#filled = 0;
    this.#neededBytes = MAGIC_BYTES;
    return this.#ended(this.#message(Buffer.from(this.#bytes)));
  }

  /** Takes what it needs of bytes that arrived elsewhere; `used` says how many that were. */
  push(bytes: Buffer): { readonly used: number; readonly step: PreambleStep } {
    let used = 0;
    let step = MORE;
    while (used < bytes.length && this.#wants && step.send === null && step.outcome === 'more') {
      const taken = bytes.copy(this.target(), 0, used);
      used += taken;
      step = this.advance(taken);
    }
    return { used, step };
  }

  /** Bytes that turned out to be no preamble, and belong to what follows. */
  leftOver(): Buffer {
    return this.#leftOver;
  }

  /** Ends the preamble; the accepting side tells the peer. */
  abstract refuse(reason: PeerRefusalReason): PreambleStep;
  protected abstract withoutPreamble(head: Buffer): PreambleStep;
  protected abstract received(kind: number, message: Buffer): PreambleStep;

  protected message(
    kind: number,
    code: number,
    first: Uint8Array,
    second: Uint8Array = NOTHING,
  ): Buffer {
    const bytes = Buffer.alloc(MESSAGE_BYTES);
    bytes.writeUInt32LE(MAGIC, MESSAGE_AT.magic);
    bytes[MESSAGE_AT.version] = PREAMBLE_VERSION;
    bytes[MESSAGE_AT.kind] = kind;
    bytes[MESSAGE_AT.purpose] = PURPOSES.indexOf(this.options.purpose);
    bytes[MESSAGE_AT.code] = code;
    bytes.set(first, MESSAGE_AT.first);
    bytes.set(second, MESSAGE_AT.second);
    return bytes;
  }

  protected passWith(bytes: Buffer): PreambleStep {
    this.#leftOver = Buffer.from(bytes);
    return PASSED;
  }

  #message(message: Buffer): PreambleStep {
    if (message[MESSAGE_AT.version] !== PREAMBLE_VERSION) return this.refuse('version');
    if (message[MESSAGE_AT.purpose] !== PURPOSES.indexOf(this.options.purpose)) {
      return this.refuse('port');
    }
    return this.received(message[MESSAGE_AT.kind], message);
  }

  #ended(step: PreambleStep): PreambleStep {
    if (step.outcome !== 'more') this.#wants = false;
    return step;
  }
}

/** The side that opened the connection. `announce`: says so too where it has no secret, because
 *  nothing that follows would let it notice that the peer has one. Without it, it passes at once
 *  and only looks at the first 4 bytes of the peer. */
export class ConnectingPreamble extends Preamble {
  readonly #announces: boolean;
  #opening: Buffer = NOTHING;
  #challenge: Buffer | null = null;

  constructor(options: PreambleOptions, announce: boolean) {
    super(options);
    this.#announces = announce || options.secret !== null;
  }

  /** The connection is up. */
  start(): PreambleStep {
    if (!this.#announces) return PASSED;
    const { secret, nonce, node } = this.options;
    const code = secret === null ? WITHOUT_SECRET : WITH_SECRET;
    this.#opening = this.message(OPENING, code, nonce, node === null ? NOTHING : nameHash(node));
    return { send: this.#opening, outcome: 'more' };
  }

  refuse(reason: PeerRefusalReason): PreambleStep {
    return refused(reason);
  }

  protected withoutPreamble(head: Buffer): PreambleStep {
    if (isTlsAlert(head)) return refused('noTlsHere');
    return this.#announces ? refused('stranger') : this.passWith(head);
  }

  protected received(kind: number, message: Buffer): PreambleStep {
    const code = message[MESSAGE_AT.code];
    if (kind === REFUSAL) {
      return { send: null, outcome: toldRefusal(PEER_REFUSAL_REASONS[code] ?? 'stranger') };
    }
    const { secret } = this.options;
    if (kind === CHALLENGE && this.#challenge === null && this.#announces) {
      if (secret === null) return code === WITHOUT_SECRET ? PASSED : refused('noSecretHere');
      if (code !== WITH_SECRET) return refused('noSecret');
      this.#challenge = message;
      const proof = proofOf(secret, CONNECTING_LABEL, this.#opening, message);
      return { send: this.message(PROOF, 0, proof), outcome: 'more' };
    }
    if (kind === ANSWER && this.#challenge !== null && secret !== null) {
      const expected = proofOf(secret, ACCEPTING_LABEL, this.#opening, this.#challenge);
      return isProof(message, expected) ? PASSED : refused('otherSecret');
    }
    return refused('stranger');
  }
}

/** The side that was connected to. */
export class AcceptingPreamble extends Preamble {
  #opening: Buffer | null = null;
  #challenge: Buffer = NOTHING;

  refuse(reason: PeerRefusalReason): PreambleStep {
    return this.refuseFor(peerRefusal(reason));
  }

  /** Tells the peer the reason, in place of any other message. */
  refuseFor(refusal: PeerRefusal): PreambleStep {
    const code = PEER_REFUSAL_REASONS.indexOf(refusal.reason);
    return { send: this.message(REFUSAL, code, NOTHING), outcome: refusal };
  }

  protected withoutPreamble(head: Buffer): PreambleStep {
    if (isTlsHello(head)) return this.refuse('noTlsHere');
    if (this.options.secret === null) return this.passWith(head);
    return isFrame(head) || isHttp2(head) ? this.refuse('noSecret') : refused('stranger');
  }

  protected received(kind: number, message: Buffer): PreambleStep {
    if (kind === OPENING && this.#opening === null) return this.#opened(message);
    if (kind === PROOF && this.#opening !== null) return this.#proved(message, this.#opening);
    return refused('stranger');
  }

  #opened(opening: Buffer): PreambleStep {
    const { secret, nonce } = this.options;
    const hasSecret = opening[MESSAGE_AT.code] !== WITHOUT_SECRET;
    if (secret === null) {
      if (hasSecret) return this.refuse('noSecretHere');
      return { send: this.message(CHALLENGE, WITHOUT_SECRET, nonce), outcome: 'passed' };
    }
    if (!hasSecret) return this.refuse('noSecret');
    this.#opening = opening;
    this.#challenge = this.message(CHALLENGE, WITH_SECRET, nonce);
    return { send: this.#challenge, outcome: 'more' };
  }

  #proved(message: Buffer, opening: Buffer): PreambleStep {
    const { node } = this.options;
    const secret = this.#secretOf(message, opening);
    if (secret === undefined) return this.refuse('otherSecret');
    // Only who has proved itself learns whether this is the node it looks for.
    const sought = opening.subarray(MESSAGE_AT.second);
    if (node !== null && !isZero(sought) && !sought.equals(nameHash(node))) {
      return this.refuse('otherNode');
    }
    const proof = proofOf(secret, ACCEPTING_LABEL, opening, this.#challenge);
    return { send: this.message(ANSWER, 0, proof), outcome: 'passed' };
  }

  /** The secret that this proof was made with: it is answered with the same. */
  #secretOf(proof: Buffer, opening: Buffer): Uint8Array | undefined {
    const { secret, otherSecret = null } = this.options;
    return [secret, otherSecret].find(
      (known): known is Uint8Array =>
        known !== null &&
        isProof(proof, proofOf(known, CONNECTING_LABEL, opening, this.#challenge)),
    );
  }
}

function proofOf(secret: Uint8Array, label: string, opening: Buffer, challenge: Buffer): Buffer {
  return createHmac('sha256', secret).update(label).update(opening).update(challenge).digest();
}

/** Whether a PROOF or an ANSWER is the one that was due, and says nothing else. */
function isProof(message: Buffer, expected: Buffer): boolean {
  const isBare = message[MESSAGE_AT.code] === 0 && isZero(message.subarray(MESSAGE_AT.second));
  return timingSafeEqual(message.subarray(MESSAGE_AT.first, MESSAGE_AT.second), expected) && isBare;
}

const isZero = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0);

function nameHash(node: string): Buffer {
  return createHash('sha256').update(node).digest();
}

const isFrame = (head: Buffer): boolean => head.toString('latin1') === 'INGF';
const isHttp2 = (head: Buffer): boolean => head.toString('latin1') === 'PRI ';
/** RFC 8446, 5.1: records of type handshake and alert. */
const isTlsHello = (head: Buffer): boolean => head[0] === 22 && head[1] === 3;
const isTlsAlert = (head: Buffer): boolean => head[0] === 21 && head[1] === 3;
