/** Who may send commands to this node: clients that know its password, and links of other nodes that
 *  prove the cluster's secret (or, where there is none, the password that all nodes share).
 *
 *  A link answers a nonce with an HMAC: what travels is worth nothing on another connection. Comparisons
 *  take the same time whatever is wrong. Without a password everybody may. */

import { Buffer } from 'node:buffer';
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Credentials } from '../shared/credentials.ts';

const NONCE_BYTES = 16;
const PURPOSE = 'ingot link ';

export class ClientAuth {
  /** Clients must say the password first. */
  readonly required: boolean;
  private readonly digest: Buffer;
  /** What links prove: our own proof is made with the first. */
  private readonly keys: readonly (Uint8Array | string)[];

  constructor({ password = null, secret, otherSecret = null }: Credentials) {
    this.required = password !== null;
    this.digest = digestOf(Buffer.from(password ?? ''));
    this.keys = [secret, otherSecret, password].filter((key) => key !== null);
  }

  matches(password: Uint8Array): boolean {
    return timingSafeEqual(digestOf(password), this.digest);
  }

  nonce(): string {
    return randomBytes(NONCE_BYTES).toString('hex');
  }

  /** What this node's links answer; null: it has nothing to prove. */
  proof(nonce: string): string | null {
    return this.keys.length === 0 ? null : proofWith(this.keys[0], nonce);
  }

  proves(nonce: string, proof: string): boolean {
    const given = digestOf(Buffer.from(proof));
    return this.keys.some((key) =>
      timingSafeEqual(digestOf(Buffer.from(proofWith(key, nonce))), given),
    );
  }
}

function proofWith(key: Uint8Array | string, nonce: string): string {
  return createHmac('sha256', key).update(PURPOSE).update(nonce).digest('hex');
}

/** Of one length, so that they compare in one time. */
function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
