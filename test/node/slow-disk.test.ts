/** The disk of an acceptor takes long to flush: what rests on it waits, and nothing else does.
 *  Played by strace, which holds up fdatasync. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { needs } from '../support/tools.ts';

const strace = needs('strace');

describe.runIf(strace !== null)('a slow disk', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-slow-disk-'));

  afterAll(() => rmSync(folder, { recursive: true }));

  test('the thread of an acceptor goes on while its disk flushes, and no answer leaves before', async () => {
    const tracer = new Child(strace ?? '', [
      ...['-f', '-o', join(folder, 'calls'), '-e', 'trace=fdatasync'],
      ...['-e', 'inject=fdatasync:delay_enter=300000', process.execPath, '--conditions=source'],
      ...[join(import.meta.dirname, 'slow-acceptor.ts'), join(folder, 'acceptor.mdb')],
    ]);
    expect(await tracer.ended).toMatchObject({ code: 0 });
    for (const line of tracer.stdoutLines) {
      const { what, turns, ms } = JSON.parse(line) as { what: string; turns: number; ms: number };
      expect({ what, wentOn: turns > 1, waited: ms >= 300 }).toEqual({
        ...{ what, wentOn: true, waited: true },
      });
    }
    expect(tracer.stdoutLines).toHaveLength(3);
  });
});
