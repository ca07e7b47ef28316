/** What the latest read or write of a stream handle came to: words that Node's C++ and JavaScript share, one set per thread.
 *
 *  All else that says so (`bytesRead`, `writeQueueSize`, a request's id) is a call into C++, and a command without
 *  pipelining makes three of them. `process.binding` is deprecated and shows them all the same; where it does not, or
 *  they are not as expected, there is no state, and callers ask the handle. */

export interface StreamState {
  readonly words: Int32Array;
  /** Of what is read: how many bytes; below zero an error. */
  readonly readBytes: number;
  /** Not 0: the kernel did not take all of the latest write. */
  readonly lastWriteWasAsync: number;
}

interface StreamBinding {
  readonly streamBaseState?: unknown;
  readonly kReadBytesOrError?: unknown;
  readonly kLastWriteWasAsync?: unknown;
}

export const STREAM_STATE: StreamState | null = stateOf(binding());

export function stateOf(shown: StreamBinding | null): StreamState | null {
  if (shown === null) return null;
  const { streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = shown;
  if (!(streamBaseState instanceof Int32Array)) return null;
  const { length } = streamBaseState;
  const isWord = (at: unknown): at is number =>
    typeof at === 'number' && Number.isInteger(at) && at >= 0 && at < length;
  if (!isWord(kReadBytesOrError) || !isWord(kLastWriteWasAsync)) return null;
  return {
    words: streamBaseState,
    readBytes: kReadBytesOrError,
    lastWriteWasAsync: kLastWriteWasAsync,
  };
}

function binding(): StreamBinding | null {
  const { binding: show } = process as { binding?: (name: string) => unknown };
  if (typeof show !== 'function') return null;
  try {
    return show.call(process, 'stream_wrap') as StreamBinding;
  } catch {
    return null; // Node was told not to show it.
  }
}
