import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EXIT_REFUSED, EXIT_USAGE } from '../shared/errors.ts';
import { SERVE_OPTIONS } from './options.ts';
import { readSecretFile, secretFileIn, secretFrom } from './secret.ts';
import { resolveOptions } from './values.ts';

const SECRET = 'sixteen bytes...';
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-secret-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

function fileOf(content: string | Buffer, mode = 0o600): string {
  const path = join(folder, 'file');
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function from(flags: Record<string, unknown>, environment: Record<string, string> = {}) {
  const values = resolveOptions(SERVE_OPTIONS, { flags, environment, file: null });
  return secretFrom(values, environment);
}

const text = (bytes: Uint8Array | null): string | undefined => bytes?.toString();
const refused = (exitCode: number, sentence: string): unknown =>
  expect.objectContaining({ exitCode, message: expect.stringContaining(sentence) });

test('a file, by flag or by environment; or the value, by environment alone', () => {
  const path = fileOf(SECRET);
  const secret = text(Uint8Array.from(Buffer.from(SECRET)));
  expect(text(from({ 'secret-file': path }))).toBe(secret);
  expect(text(from({}, { INGOT_SECRET_FILE: path }))).toBe(secret);
  expect(text(from({}, { INGOT_SECRET: SECRET }))).toBe(secret);
  expect(from({}, { INGOT_SECRET: '' })).toBeNull();
  expect(() => from({ 'secret-file': path }, { INGOT_SECRET: SECRET })).toThrow(
    refused(EXIT_USAGE, 'are given: keep one'),
  );
});

test('one final newline is no part of it, bytes that are no text are', () => {
  const bare = readSecretFile(fileOf(SECRET));
  expect(readSecretFile(fileOf(`${SECRET}\n`))).toEqual(bare);
  expect(readSecretFile(fileOf(`${SECRET}\r\n`))).toEqual(bare);
  expect(readSecretFile(fileOf(`${SECRET}\n\n`))).not.toEqual(bare);
  const bytes = Buffer.alloc(32, 0xff);
  expect(Buffer.from(readSecretFile(fileOf(bytes))).equals(bytes)).toBe(true);
});

describe('refused, with what to do', () => {
  test.each([0o640, 0o604, 0o660, 0o601])('a file of mode %o', (mode) => {
    const path = fileOf(SECRET, mode);
    expect(() => readSecretFile(path)).toThrow(refused(EXIT_REFUSED, `chmod 600 ${path}`));
  });

  test('fewer than 16 bytes', () => {
    expect(() => readSecretFile(fileOf('fifteen bytes..\n'))).toThrow(
      refused(EXIT_REFUSED, 'has 15 bytes and needs 16; make one with: openssl rand'),
    );
  });

  test('a file that is not there, one that is a folder, one that is far too large', () => {
    expect(() => readSecretFile(join(folder, 'none'))).toThrow(refused(EXIT_REFUSED, 'ENOENT'));
    chmodSync(folder, 0o700);
    expect(() => readSecretFile(folder)).toThrow(refused(EXIT_REFUSED, 'EISDIR'));
    expect(() => readSecretFile(fileOf(Buffer.alloc(70_000)))).toThrow(
      refused(EXIT_REFUSED, 'check that it is the right file'),
    );
  });
});

test('made where it is missing: 32 random bytes, for its owner alone; kept where it is', () => {
  const path = secretFileIn(join(folder, 'new', 'dir'));
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const content = readFileSync(path, 'utf8');
  expect(content).toMatch(/^[\w-]{43}\n$/);
  expect(secretFileIn(join(folder, 'new', 'dir'))).toBe(path);
  expect(readFileSync(path, 'utf8')).toBe(content);
});
