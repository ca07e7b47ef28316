import { expect, test } from 'vitest';
import { Sleeper } from './sleeper.ts';

const words = (): Int32Array => new Int32Array(new SharedArrayBuffer(8));

/** What a data worker does after a batch of writes. */
function batchWritten(shared: Int32Array): void {
  if (Atomics.load(shared, 0) !== 1) return;
  Atomics.store(shared, 0, 0);
  Atomics.notify(shared, 0);
}

test('a sleeper is woken by a write', async () => {
  const shared = words();
  const sleeper = new Sleeper(shared);
  sleeper.announce(true);
  const slept = sleeper.sleep();
  batchWritten(shared);
  await expect(slept).resolves.toBeUndefined();
});

test('a write between the announcement and the sleep is not missed', async () => {
  const shared = words();
  const sleeper = new Sleeper(shared);
  sleeper.announce(true);
  batchWritten(shared);
  await expect(sleeper.sleep()).resolves.toBeUndefined();
});

test('without followers a write does not wake it, the first follower does', async () => {
  const shared = words();
  const sleeper = new Sleeper(shared);
  sleeper.announce(false);
  let awake = false;
  const slept = sleeper.sleep().then(() => {
    awake = true;
  });
  batchWritten(shared);
  await new Promise((resolve) => setImmediate(resolve));
  expect(awake).toBe(false);
  sleeper.wake();
  await slept;
  expect(awake).toBe(true);
});
