import { expect, it } from 'vitest';
import { createCounters, RarePace, WorkerCounters } from '../metrics/layout.ts';
import { LIMIT_LOG_EVERY_MS, LimitWatch } from './limit-watch.ts';

const START_MS = 5_000_000_000;

/** Watches of a node's workers, their lines, and their clock. */
function watches(count: number) {
  const shared = createCounters();
  const time = { ms: START_MS };
  const lines: [event: string, fields: unknown][] = [];
  const all = Array.from({ length: count }, () => {
    const counters = new WorkerCounters(createCounters());
    const watch = new LimitWatch(
      counters,
      new RarePace(shared, LIMIT_LOG_EVERY_MS),
      (_level, event, fields = {}) => lines.push([event, { ...fields, text: undefined }]),
      () => time.ms,
    );
    return { watch, counters };
  });
  return { all, time, lines };
}

const client = (id: number) => ({ address: `10.0.0.${id}:1`, name: `c${id}` });

it('a limit that strikes often is logged once a second, with how often it did', () => {
  const { all, time, lines } = watches(1);
  const [{ watch, counters }] = all;
  for (let i = 0; i < 100; i++) watch.strike('idle', client(i), { seconds: 3 });
  expect(lines).toEqual([
    ['limit.idle', { client: '10.0.0.0:1', name: 'c0', count: 1, seconds: 3 }],
  ]);
  time.ms += LIMIT_LOG_EVERY_MS - 1;
  watch.tick(time.ms);
  expect(lines.length).toBe(1);
  time.ms += 1;
  watch.tick(time.ms);
  watch.tick(time.ms);
  expect(lines.slice(1)).toEqual([
    ['limit.idle', { client: '10.0.0.1:1', name: 'c1', count: 99, seconds: 3 }],
  ]);
  expect(counters.get(18)).toBe(100);
});

it('workers of a node take turns in it, and kinds do not', () => {
  const { all, time, lines } = watches(3);
  for (const { watch } of all) {
    watch.strike('output', client(1));
    watch.strike('clients', client(2));
  }
  expect(lines.map(([event]) => event)).toEqual(['limit.output', 'limit.clients']);
  for (let i = 0; i < 5; i++) {
    time.ms += LIMIT_LOG_EVERY_MS;
    for (const { watch } of all) watch.tick(time.ms);
  }
  expect(lines.filter(([event]) => event === 'limit.output').length).toBe(3);
});

it('the clock goes on past 2^32 ms', () => {
  const { all, time, lines } = watches(1);
  time.ms = 2 ** 32 - 500;
  all[0].watch.strike('idle', client(1));
  time.ms += 600;
  all[0].watch.strike('idle', client(2));
  expect(lines.length).toBe(1);
  time.ms += 500;
  all[0].watch.tick(time.ms);
  expect(lines.length).toBe(2);
});
