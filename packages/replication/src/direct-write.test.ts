import { expect, test } from 'vitest';
import { DirectWriter } from './direct-write.ts';
import type { StreamState } from './stream-state.ts';

/** As Node has it: under way from the moment the kernel did not take all, until it completes. */
class WriteWrap {
  asyncId = -1;
  oncomplete: (status: number) => void = () => {};

  getAsyncId(): number {
    return this.asyncId;
  }
}

/** Takes what it is told to take. */
class Handle {
  readonly requests: WriteWrap[] = [];
  writeQueueSize = 0;
  readonly state: StreamState = { words: new Int32Array(2), readBytes: 0, lastWriteWasAsync: 1 };
  next: 'taken' | 'queued' | 'taken a moment later' = 'taken';

  writeBuffer(request: WriteWrap, bytes: Uint8Array): number {
    return this.writev(request, [bytes], true);
  }

  writev(request: WriteWrap, pieces: readonly Uint8Array[], _areBuffers: true): number {
    expect(request.asyncId).toBe(-1);
    this.requests.push(request);
    const isAsync = this.next !== 'taken';
    if (isAsync) request.asyncId = this.requests.length;
    this.state.words[1] = isAsync ? 1 : 0;
    if (this.next === 'queued') this.writeQueueSize += pieces.length;
    return 0;
  }
}

test.each([
  ['asked itself', false],
  ['of which the state tells', true],
])(
  'a request that is under way, %s, is not used again, even where the queue is empty',
  (_how, isTold) => {
    const handle = new Handle();
    const completed: number[] = [];
    const done = (status: number): number => completed.push(status);
    const state = isTold ? handle.state : null;
    const writer = DirectWriter.forSocket({ _handle: handle }, done, state);
    handle.writeBuffer(new WriteWrap(), Buffer.alloc(1)); // an ordinary write, which shows what requests are
    expect(writer?.ready).toBe(true);
    expect(writer?.write(Buffer.alloc(5))).toBe(true);
    expect(writer?.writePieces([Buffer.alloc(5), Buffer.alloc(5)])).toBe(true);
    handle.next = 'taken a moment later';
    expect(writer?.write(Buffer.alloc(5))).toBe(false);
    handle.next = 'queued';
    expect(writer?.writePieces([Buffer.alloc(5), Buffer.alloc(5)])).toBe(false);
    const [, first, second, third, fourth] = handle.requests;
    expect(second).toBe(first);
    expect(third).toBe(first);
    expect(fourth).not.toBe(first);
    first.oncomplete(0);
    expect(completed).toEqual([0]);
  },
);
