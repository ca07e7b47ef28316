/** The soak itself, for seconds: what it runs is proved by tests of its own. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { within } from '../support/eventually.ts';

const SOAK = join(import.meta.dirname, 'soak.ts');
const ENDS_WITHIN_MS = 60_000;

async function soak(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = new Child(process.execPath, ['--conditions=source', SOAK, ...args]);
  const { code } = await within('the soak ends', ENDS_WITHIN_MS, child.ended);
  return { code, output: child.output };
}

test('says what it did, and that all held', async () => {
  const { code, output } = await soak('--part', 'models', '--minutes', '0.001', '--seed', '3');
  expect(output).toMatch(/^npm run soak -- --minutes 0\.001 --seed 3 --part models$/m);
  expect(output).toMatch(/^models: 100 histories, all as a plain Map/m);
  expect(output).toMatch(/^all held: models$/m);
  expect(code).toBe(0);
});

test('ends with exit code 1, what broke and how to see it again', async () => {
  const fault = ['--fault', 'writerIgnoresPins'];
  const { code, output } = await soak('--part', 'threads', '--minutes', '0.1', ...fault);
  expect(output).toMatch(/^BROKEN threads: (pinned|torn) \(round 0, 2 threads\): ./m);
  expect(output).toMatch(
    /^the same run: npm run soak -- --minutes 0\.1 --seed \d+ --part threads/m,
  );
  expect(code).toBe(1);
});

test('refuses what it does not know', async () => {
  expect(await soak('--part', 'nothing')).toMatchObject({ code: 2 });
});
