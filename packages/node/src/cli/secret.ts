/** Where the cluster's secret comes from: a file that nobody else can read, or INGOT_SECRET. Never
 *  from the command line, which every user of the machine can see. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SECRET_BYTES_MIN } from '@ingot/replication';
import { refusal, usageError } from '../shared/errors.ts';
import { readPrivateFile, unusable } from './private-file.ts';
import type { OptionValues } from './values.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export const SECRET_VARIABLE = 'INGOT_SECRET';
const NEWLINE = 10;
const RETURN = 13;

/** null: none is given. */
export function secretFrom(values: OptionValues, environment: Environment): Uint8Array | null {
  const path = values.text('secret-file');
  const value = environment[SECRET_VARIABLE] ?? '';
  if (path !== null && value !== '') {
    throw usageError(
      `both --secret-file (or INGOT_SECRET_FILE) and ${SECRET_VARIABLE} are given: keep one`,
    );
  }
  if (path !== null) return readSecretFile(path);
  return value === '' ? null : checked(Buffer.from(value), SECRET_VARIABLE);
}

/** What nodes alone take, while the secret is being changed. */
export function otherSecretFrom(values: OptionValues): Uint8Array | null {
  const path = values.text('other-secret-file');
  return path === null ? null : readSecretFile(path);
}

export function readSecretFile(path: string): Uint8Array {
  return checked(readPrivateFile(path, 'the secret file'), `the secret in ${path}`);
}

/** The file `secret` in `folder`: as it is, or made now of 32 random bytes. */
export function secretFileIn(folder: string): string {
  const path = join(resolve(folder), 'secret');
  mkdirSync(folder, { recursive: true });
  try {
    writePrivateFile(path, `${randomBytes(32).toString('base64url')}\n`, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw unusable(path, 'the secret file', error);
  }
  return path;
}

/** Puts a secret that came from the environment where nodes can be pointed to. */
export function writeSecretFile(
  folder: string,
  secret: Uint8Array | string,
  name: 'secret' | 'password' = 'secret',
): string {
  const path = join(resolve(folder), name);
  mkdirSync(folder, { recursive: true });
  writePrivateFile(path, secret, 'w');
  return path;
}

function writePrivateFile(path: string, content: string | Uint8Array, flag: 'w' | 'wx'): void {
  writeFileSync(path, content, { mode: 0o600, flag });
}

/** Without its final newline; long enough not to be guessed. */
function checked(bytes: Buffer, source: string): Uint8Array {
  let end = bytes.length;
  if (bytes[end - 1] === NEWLINE) end--;
  if (bytes[end - 1] === RETURN && end < bytes.length) end--;
  if (end >= SECRET_BYTES_MIN) return Uint8Array.from(bytes.subarray(0, end));
  throw refusal(
    'BAD_SECRET',
    `${source} has ${end} bytes and needs ${SECRET_BYTES_MIN}; ` +
      'make one with: openssl rand -base64 32',
  );
}
