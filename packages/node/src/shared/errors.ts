/** Errors that end a command: one sentence that says what to do, a code for programs, an exit code
 *  for the shell. Thrown by whoever finds the trouble, printed once, by cli/main.ts.
 *  The sentences that more than one room needs are made here, so that they read alike. */

export const EXIT_OK = 0;
export const EXIT_FOUND_WRONG = 1;
export const EXIT_USAGE = 2;
export const EXIT_UNREACHABLE = 3;
export const EXIT_REFUSED = 4;
/** Asked twice to end: it did, without finishing what it had in hand. */
export const EXIT_INTERRUPTED = 130;

export class IngotError extends Error {
  readonly code: string;
  readonly exitCode: number;

  /** `text` is one sentence: what is wrong, and what to do about it. */
  constructor(code: string, text: string, exitCode: number) {
    super(text);
    this.name = 'IngotError';
    this.code = code;
    this.exitCode = exitCode;
  }
}

export function usageError(text: string): IngotError {
  return new IngotError('USAGE', text, EXIT_USAGE);
}

export function refusal(code: string, text: string): IngotError {
  return new IngotError(code, text, EXIT_REFUSED);
}

/** `flag` is the option that sets the port, such as `--cluster-port`. */
export function portInUse(flag: string, host: string, port: number): IngotError {
  return refusal(
    'PORT_IN_USE',
    `port ${port} on ${host} is already in use; ` +
      `stop what listens there or choose another with ${flag}`,
  );
}

/** `what` names who was sought, `advice` what the reader can do. */
export function unreachable(what: string, why: string, advice: string): IngotError {
  return new IngotError(
    'UNREACHABLE',
    `${what} cannot be reached (${why}); ${advice}`,
    EXIT_UNREACHABLE,
  );
}
