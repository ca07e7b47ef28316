/** Where the password of a node's clients comes from: --password, INGOT_PASSWORD, or a file that nobody
 *  else can read. */
import { usageError } from '../shared/errors.ts';
import { readPrivateFile } from './private-file.ts';
import type { OptionValues } from './values.ts';

/** null: clients need none. */
export function passwordFrom(values: OptionValues): string | null {
  const path = values.text('password-file');
  const given = values.text('password');
  if (path === null) return checked(given, '--password');
  if (given !== null) {
    throw usageError('both --password and --password-file are given: keep one');
  }
  return readPasswordFile(path);
}

/** Without its final newline. */
export function readPasswordFile(path: string): string {
  const text = readPrivateFile(path, 'the password file').toString();
  return checked(text.replace(/\r?\n$/, ''), `the password in ${path}`) ?? '';
}

function checked(password: string | null, source: string): string | null {
  if (password !== '') return password;
  throw usageError(`${source} is empty; leave it out where clients need none`);
}
