import { hostname } from 'node:os';
import { describe, expect, test } from 'vitest';
import { EXIT_REFUSED, EXIT_USAGE } from '../shared/errors.ts';
import type { Settings } from '../shared/settings.ts';
import { SERVE_OPTIONS } from './options.ts';
import { settingsFrom } from './serve-settings.ts';
import { resolveOptions } from './values.ts';

function settings(flags: Record<string, unknown>, environment = {}): Settings {
  return settingsFrom(
    resolveOptions(SERVE_OPTIONS, { flags, environment, file: null }),
    environment,
  );
}

describe('settings: what is worked out', () => {
  test('id is the host name, data dir is named after it, and workers fit the machine', () => {
    const { id, dataDir, workers } = settings({});
    expect(id).toBe(hostname());
    expect(dataDir).toBe(`${process.cwd()}/ingot-data/${id}`);
    expect(workers).toBeGreaterThanOrEqual(1);
    expect(workers).toBeLessThanOrEqual(8);
  });

  test('images are laid out for eight times the capacity, 2 GiB each at most', () => {
    expect(settings({ capacity: '1gb' }).capacityMaxBytes).toBe(8 * 2 ** 30);
    expect(settings({ capacity: '1gb', partitions: '2' }).capacityMaxBytes).toBe(4 * 2 ** 30);
    expect(settings({ 'capacity-max': '3gb' }).capacityMaxBytes).toBe(3 * 2 ** 30);
  });

  test('a node that listens everywhere tells others its host name, unless told what to tell', () => {
    const open = { host: '0.0.0.0', insecure: true };
    expect(settings(open).advertise).toBe(hostname());
    expect(settings({ ...open, advertise: 'cache1' }).advertise).toBe('cache1');
    expect(settings({}).advertise).toBe('127.0.0.1');
  });

  test('the test door opens for INGOT_TEST_DOOR=1 alone', () => {
    expect(settings({}).testDoor).toBe(false);
    expect(settings({}, { INGOT_TEST_DOOR: '1' }).testDoor).toBe(true);
  });

  test('settings survive the way to a worker thread', () => {
    expect(structuredClone(settings({}))).toEqual(settings({}));
  });
});

describe('settings: what does not fit together is refused', () => {
  test.each([
    [{ partitions: '48' }, EXIT_USAGE, '--partitions must be a power of two; 48 is none, 64 is'],
    [{ 'capacity-max': '8mb' }, EXIT_USAGE, '--capacity-max must not be smaller than --capacity'],
    [{ port: '7500' }, EXIT_USAGE, 'port 7500 is given to two listeners'],
    [{ found: true, join: 'a:1' }, EXIT_USAGE, 'give one of the two'],
    [
      { found: true, witness: true },
      EXIT_USAGE,
      'give --found to a data node, and start the witness',
    ],
    [{ id: 'a b' }, EXIT_USAGE, '--id must be'],
    [{ host: '0.0.0.0' }, EXIT_REFUSED, 'add --insecure'],
    [{ host: '::' }, EXIT_REFUSED, 'listen on 127.0.0.1'],
    [{ host: 'cache.example' }, EXIT_REFUSED, 'nothing is encrypted'],
  ])('%j', (flags, exitCode, sentence) => {
    expect(() => settings(flags)).toThrow(
      expect.objectContaining({ exitCode, message: expect.stringContaining(sentence) }),
    );
  });

  test.each(['127.0.0.1', '127.1.2.3', '::1', 'localhost'])('%s needs no credentials', (host) => {
    expect(settings({ host }).host).toBe(host);
  });
});

describe('settings: a node that only follows', () => {
  test('takes a snapshot every 30 s unless told, and saves nothing', () => {
    expect(settings({})).toMatchObject({ followOnly: false });
    const edge = { 'follow-only': true, join: 'a:7600' };
    expect(settings(edge)).toMatchObject({ followOnly: true, snapshotEveryMs: 30_000 });
    expect(settings({ ...edge, mode: 'snapshot', every: '5s' }).snapshotEveryMs).toBe(5_000);
    expect(settings({ ...edge, 'checkpoint-every': '1m' }).checkpointEveryMs).toBe(0);
  });

  test.each([
    ['founds nothing', { 'follow-only': true, found: true }],
    ['is no witness', { 'follow-only': true, witness: true, join: 'a:7600' }],
    ['rests between rounds', { 'follow-only': true, join: 'a:7600', every: '0' }],
  ])('%s', (_, flags) => {
    expect(() => settings(flags)).toThrow(expect.objectContaining({ exitCode: EXIT_USAGE }));
  });
});
