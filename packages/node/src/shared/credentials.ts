/** What a node proves itself with to other nodes, and asks of them. Made by cli/credentials.ts from
 *  files and the environment; a plain object that structured clone can copy. Never logged. */
export interface Credentials {
  /** The cluster's secret. null: whoever connects is believed. */
  readonly secret: Uint8Array | null;
}

export const NO_CREDENTIALS: Credentials = { secret: null };
