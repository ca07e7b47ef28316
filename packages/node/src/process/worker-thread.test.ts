import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { WorkerData } from '../shared/messages.ts';
import { WorkerThread } from './worker-thread.ts';

interface ToFixture {
  kind: 'double' | 'refuse' | 'greet' | 'fail' | 'die' | 'stop' | 'litter' | 'silence';
  id?: number;
}
interface FromFixture {
  kind: 'greeting' | 'started';
}

const YOUNG_HEAP_MB = 8;

/** A worker that answers, refuses, dies or ends as the messages ask. */
const FIXTURE = `
  import { parentPort } from 'node:worker_threads';
  import { getHeapSpaceStatistics } from 'node:v8';
  // Each lives long enough to be in the way of the next ones.
  const littered = () => {
    const kept = [];
    for (let i = 0; i < 1_000_000; i++) kept[i % 200_000] = { i };
    const spaces = getHeapSpaceStatistics();
    return spaces.find((space) => space.space_name === 'new_space').space_size;
  };
  parentPort.on('message', ({ kind, id }) => {
    if (kind === 'double') parentPort.postMessage({ kind: 'reply', id, result: id * 2 });
    else if (kind === 'refuse') parentPort.postMessage({ kind: 'reply', id, error: 'not today' });
    else if (kind === 'litter') parentPort.postMessage({ kind: 'reply', id, result: littered() });
    else if (kind === 'greet') parentPort.postMessage({ kind: 'greeting' });
    else if (kind === 'fail') parentPort.postMessage({ kind: 'failed', code: 'X', text: 'no port' });
    else if (kind === 'die') throw new Error('out of luck');
    else if (kind === 'stop') parentPort.close();
  });
  parentPort.postMessage({ kind: 'started' });
`;

describe('worker thread', () => {
  let thread: WorkerThread<ToFixture, FromFixture>;
  let heard: FromFixture[];
  let death: Promise<Error>;
  let deaths: number;

  beforeEach(() => {
    heard = [];
    deaths = 0;
    const died = Promise.withResolvers<Error>();
    death = died.promise;
    thread = new WorkerThread<ToFixture, FromFixture>({
      name: 'fixture',
      entry: new URL(`data:text/javascript,${encodeURIComponent(FIXTURE)}`),
      data: {} as WorkerData,
      youngHeapMb: YOUNG_HEAP_MB,
      onMessage: (message) => heard.push(message),
      died: (error) => {
        deaths++;
        died.resolve(error);
      },
    });
    thread.ready.catch(() => undefined);
  });
  afterEach(() => thread.stop({ kind: 'stop' }));

  test('answers find their questions', async () => {
    const asked = [1, 2, 3].map(() => thread.ask((id) => ({ kind: 'double', id })));
    expect(await Promise.all(asked)).toEqual([2, 4, 6]);
  });

  test('a refused question rejects with the sentence', async () => {
    await expect(thread.ask((id) => ({ kind: 'refuse', id }))).rejects.toThrow('not today');
  });

  test('what is no answer is handed on, in order', async () => {
    thread.post({ kind: 'greet' });
    await thread.ask((id) => ({ kind: 'double', id }));
    expect(heard.map(({ kind }) => kind)).toEqual(['started', 'greeting']);
  });

  test('a worker that cannot serve says why', async () => {
    thread.post({ kind: 'fail' });
    await expect(thread.ready).rejects.toMatchObject({ code: 'X', message: 'no port' });
  });

  test('a worker that dies is reported once; who waits for it learns the cause', async () => {
    const waiting = thread.ask((id) => ({ kind: 'silence', id }));
    thread.post({ kind: 'die' });
    await expect(waiting).rejects.toThrow('out of luck');
    await expect(thread.ready).rejects.toThrow('out of luck');
    expect((await death).message).toBe('out of luck');
    expect(deaths).toBe(1);
  });

  test('a worker that was asked to end has not died', async () => {
    await thread.stop({ kind: 'stop' });
    expect(deaths).toBe(0);
  });

  test('what it throws away takes no more memory than it may', async () => {
    const bytes = await thread.ask((id) => ({ kind: 'litter', id }));
    expect(bytes).toBeLessThanOrEqual(YOUNG_HEAP_MB * 2 ** 20);
  });
});
