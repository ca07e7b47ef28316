import { expect, test } from 'vitest';
import { Child, RECEIVER_CORE, SENDER_CORE, type Totals } from './children.ts';
import { measureBatch } from './serialization.ts';
import type { SenderPorts, StreamQuestion } from './stream-side.ts';

const IMAGE_BYTES = 2 ** 20;

test('bench: a cell of the serialization table is measured between two processes', async () => {
  const plan = { codecs: ['msgpack', 'raw'], rounds: 1, phaseMs: 1 } as const;
  const [msgpack, raw] = await measureBatch(65_536, plan);
  expect(raw).toMatchObject({ codec: 'raw', wireRatio: 1 });
  for (const cell of [msgpack, raw]) {
    expect(cell.mibPerSecond).toBeGreaterThan(0);
    expect(cell.messages).toBeGreaterThanOrEqual(1);
    expect(cell.p99Ms).toBeGreaterThanOrEqual(cell.p50Ms);
  }
});

test.each(['link', 'bare'] as const)('bench: %s: what lands is the image', async (transport) => {
  const file = 'stream-side.ts';
  const image = String(IMAGE_BYTES);
  const [sender, ports] = await Child.start<SenderPorts>(SENDER_CORE, file, ['sender', image]);
  const [receiver] = await Child.start<null>(RECEIVER_CORE, file, ['receiver', image]);
  const ask = <T>(child: Child, question: StreamQuestion): Promise<T> => child.ask<T>(question);
  try {
    const port = ports[transport];
    expect(await ask(receiver, { kind: 'checksum' })).not.toBe(
      await ask(sender, { kind: 'checksum' }),
    );
    await ask(receiver, { kind: 'connect', transport, port, lands: true });
    for (let bytes = 0; bytes < 2 * IMAGE_BYTES; ) {
      ({ bytes } = await ask<Totals>(receiver, { kind: 'totals' }));
    }
    await ask(receiver, { kind: 'disconnect' });
    expect(await ask(receiver, { kind: 'checksum' })).toBe(await ask(sender, { kind: 'checksum' }));
  } finally {
    await sender.stop();
    await receiver.stop();
  }
});

test('bench: a side that ends fails whoever asks it', async () => {
  const [sender] = await Child.start<SenderPorts>(SENDER_CORE, 'stream-side.ts', [
    'sender',
    '65536',
  ]);
  const asked = sender.ask({ kind: 'totals' });
  await asked;
  await sender.stop();
  await expect(sender.ask({ kind: 'totals' })).rejects.toThrow('stream-side.ts');
});
