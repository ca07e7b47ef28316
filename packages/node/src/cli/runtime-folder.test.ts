import { chmodSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NO_CREDENTIALS } from '../shared/credentials.ts';
import { askedFrom } from './ask.ts';
import { ASK_OPTIONS } from './options.ts';
import { leavePointers, pointersIn, runtimeFolder } from './runtime-folder.ts';
import { secretFileIn } from './secret.ts';
import { resolveOptions } from './values.ts';

let base: string;
let environment: Record<string, string>;
let folder: string;
const warnings: string[] = [];

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ingot-runtime-'));
  environment = { XDG_RUNTIME_DIR: base };
  folder = runtimeFolder(environment);
  warnings.length = 0;
});

afterEach(() => rmSync(base, { recursive: true }));

const leave = (...ports: number[]): (() => void) =>
  leavePointers(folder, ports, secretFileIn(base), (text) => warnings.push(text));

function asked(flags: Record<string, unknown>, more: Record<string, string> = {}) {
  const environmentOfAll = { ...environment, ...more };
  const given = { flags, environment: environmentOfAll, file: null };
  return askedFrom(resolveOptions(ASK_OPTIONS, given), environmentOfAll);
}

test('without XDG_RUNTIME_DIR it is a folder of this user among the temporary ones', () => {
  expect(runtimeFolder({})).toBe(join(tmpdir(), `ingot-${process.getuid?.()}`));
});

test('pointers are found while their ingot up runs, and removed at its end', () => {
  const remove = leave(7602, 7601);
  expect(pointersIn(folder).map(({ controlPort }) => controlPort)).toEqual([7601, 7602]);
  remove();
  expect(pointersIn(folder)).toEqual([]);
  expect(existsSync(join(folder, '7601'))).toBe(false);
});

test('a pointer of a process that has ended does not count', () => {
  leave();
  const pid = 2 ** 30;
  writeFileSync(join(folder, '7601'), JSON.stringify({ secretFile: '/x', pid }), { mode: 0o600 });
  expect(pointersIn(folder)).toEqual([]);
});

describe('what others could have written is not believed', () => {
  test('a folder that is open to them', () => {
    leave(7601);
    chmodSync(folder, 0o755);
    expect(pointersIn(folder)).toEqual([]);
    leave(7602)();
    expect(warnings[0]).toContain('"ingot status" will need --secret-file');
    expect(existsSync(join(folder, '7601'))).toBe(true);
  });

  test('a link in place of the folder', () => {
    leave(7601);
    const link = join(base, 'link');
    symlinkSync(folder, link);
    expect(pointersIn(link)).toEqual([]);
  });

  test('a file that is open to them, or a link', () => {
    leave(7601, 7602);
    chmodSync(join(folder, '7601'), 0o644);
    symlinkSync(join(folder, '7602'), join(folder, '7603'));
    expect(pointersIn(folder).map(({ controlPort }) => controlPort)).toEqual([7602]);
  });
});

describe('whom ingot status asks', () => {
  test('the first node of a running ingot up, with its secret', () => {
    leave(7602, 7601);
    const { address, credentials } = asked({});
    expect(address).toBe('127.0.0.1:7601');
    expect(credentials.secret).toHaveLength(43);
  });

  test('another node of it, should the first have died; of that one alone', () => {
    leave(7602, 7601);
    const pid = process.ppid;
    writeFileSync(join(folder, '8601'), JSON.stringify({ secretFile: '/x', pid }), { mode: 0o600 });
    expect(asked({}).otherPorts).toEqual([7602]);
    expect(asked({ node: '127.0.0.1:7601' }).otherPorts).toEqual([]);
  });

  test('127.0.0.1:7600 where none runs', () => {
    expect(asked({})).toEqual({ address: '127.0.0.1:7600', credentials: NO_CREDENTIALS });
  });

  test('the secret of a local ingot up is not sent elsewhere', () => {
    leave(7601);
    expect(asked({ node: '127.0.0.1:7601' }).credentials.secret).not.toBeNull();
    expect(asked({ node: 'localhost:7601' }).credentials.secret).not.toBeNull();
    expect(asked({ node: '[::1]:7601' }).credentials.secret).not.toBeNull();
    expect(asked({ node: 'cache.example:7601' }).credentials.secret).toBeNull();
    expect(asked({ node: '127.0.0.1:17601' }).credentials.secret).toBeNull();
  });

  test('what is given counts', () => {
    leave(7601);
    const secret = 'another secret of 32 bytes......';
    const { credentials } = asked({ node: '127.0.0.1:7601' }, { INGOT_SECRET: secret });
    expect(Buffer.from(credentials.secret ?? []).toString()).toBe(secret);
  });
});
