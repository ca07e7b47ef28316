import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { STREAM_STATE, stateOf } from './stream-state.ts';

interface WithHandle {
  _handle: {
    onread: (this: { bytesRead: number }, data: unknown) => unknown;
  };
}

test('says how many bytes a read has brought', async () => {
  const server = createServer((accepted) => accepted.end('twelve bytes'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client: Socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(client, 'connect');
  const { _handle: handle } = client as unknown as WithHandle;
  const { onread } = handle;
  const told: [said: number | undefined, grown: number][] = [];
  let seen = 0;
  handle.onread = function read(this, data) {
    if (this.bytesRead > seen) {
      told.push([STREAM_STATE?.words[STREAM_STATE.readBytes], this.bytesRead - seen]);
    }
    seen = this.bytesRead;
    return onread.call(this, data);
  };
  client.resume();
  await once(client, 'close');
  server.close();
  expect(told.length).toBeGreaterThan(0);
  for (const [said, grown] of told) expect(said).toBe(grown);
});

test('what is not as expected is no state', () => {
  const words = new Int32Array(4);
  const whole = { streamBaseState: words, kReadBytesOrError: 0, kLastWriteWasAsync: 3 };
  expect(stateOf(whole)).toEqual({ words, readBytes: 0, lastWriteWasAsync: 3 });
  expect(stateOf(null)).toBeNull();
  expect(stateOf({ ...whole, streamBaseState: [0, 0, 0, 0] })).toBeNull();
  expect(stateOf({ ...whole, kReadBytesOrError: undefined })).toBeNull();
  expect(stateOf({ ...whole, kLastWriteWasAsync: 4 })).toBeNull();
});
