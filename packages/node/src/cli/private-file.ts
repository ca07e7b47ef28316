/** Files that only their owner may read. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { IngotError, refusal } from '../shared/errors.ts';

const OTHERS = 0o077;
const BYTES_MAX = 65_536;

/** Asks the file that was opened, not its name, which may lead elsewhere by then. `what` says what
 *  the file is, in sentences about it. */
export function readPrivateFile(path: string, what: string): Buffer {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw unusable(path, what, error);
  }
  try {
    const { mode, size } = fstatSync(file);
    if ((mode & OTHERS) !== 0) {
      const shown = (mode & 0o777).toString(8);
      throw refusal(
        'FILE_OPEN_TO_OTHERS',
        `${what} ${path} is open to other users (mode ${shown}); chmod 600 ${path}`,
      );
    }
    if (size > BYTES_MAX) {
      throw refusal(
        'FILE_TOO_LARGE',
        `${what} ${path} has ${size} bytes, more than ${BYTES_MAX}; check that it is the right file`,
      );
    }
    return readFileSync(file);
  } catch (error) {
    throw error instanceof IngotError ? error : unusable(path, what, error);
  } finally {
    closeSync(file);
  }
}

export function unusable(path: string, what: string, error: unknown): IngotError {
  const { code, message } = error as NodeJS.ErrnoException;
  return refusal('FILE_UNUSABLE', `${what} ${path} cannot be used (${code ?? message}); check it`);
}
