/** Bounds on what one client may make this process hold while it sends a command.
 *  The settings give the configurable ones; the rest is Redis' own. */

export interface ParserLimits {
  readonly maxBulkBytes: number;
  readonly maxArguments: number;
  readonly maxQueryBufferBytes: number;
  /** A command with an argument longer than this is skipped, not kept; unless set, none is. */
  readonly valueBytesMax?: number;
}

export const DEFAULT_LIMITS: ParserLimits = {
  maxBulkBytes: 512 * 1024 * 1024,
  maxArguments: 1024 * 1024,
  maxQueryBufferBytes: 1024 * 1024 * 1024,
};

/** Longest inline command, and longest `*n` or `$n` line. */
export const LINE_BYTES_MAX: number = 64 * 1024;

/** Before a client has said the password: Redis' limits. */
export const ARGUMENTS_UNKNOWN_MAX = 10;
export const BULK_BYTES_UNKNOWN_MAX: number = 16 * 1024;
