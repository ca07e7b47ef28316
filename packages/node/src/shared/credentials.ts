/** What a node proves itself with to other nodes, and asks of them. Made by cli/credentials.ts from
 *  files and the environment; a plain object that structured clone can copy. Never logged. */
import type { Certificates } from '@ingot/replication';

export interface Credentials {
  /** The cluster's secret. null: whoever connects is believed. */
  readonly secret: Uint8Array | null;
  /** Another that peers may prove themselves with, while the secret is being changed. */
  readonly otherSecret?: Uint8Array | null;
  /** What clients of this node must say first. null or left out: nothing. */
  readonly password?: string | null;
  /** For TLS in both directions. null: nothing is encrypted. */
  readonly certificates: Certificates | null;
}

export const NO_CREDENTIALS: Credentials = { secret: null, certificates: null };
