/** Faults that a parser could have, planted in a copy of its source: the parser's part of the fuzz must find each. A row is
 *  a text of the source, and what stands in its place. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Child } from '../support/child.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const MINUTES = '0.5';
const SEED = '3';
const TIMEOUT_MS = 120_000;

interface Fault {
  readonly file: string;
  readonly text: string;
  readonly instead: string;
}

const parser = (text: string, instead: string): Fault => ({ file: 'parser.ts', text, instead });

const FAULTS: Readonly<Record<string, Fault>> = {
  'a bulk of negative length': parser(
    "if (this.lineValue < 0) return this.fail('invalid bulk length');",
    '',
  ),
  'a length of minus zero': parser('(negative || i - digitsAt > 1)', '(i - digitsAt > 1)'),
  'a bulk is taken before its end is there': parser(
    'if (next < 0 || next + bytes + 2 > end) {',
    'if (next < 0 || next + bytes + 2 > this.buffer.length) {',
  ),
  'bytes behind an error are looked at': parser(
    'if (next === INVALID) return;\n      if (next > 0 && bytes > this.valueBytesMax) {',
    'if (next === INVALID) next = start + long.at;\n      if (next > 0 && bytes > this.valueBytesMax) {',
  ),
  'a stranger sends as much as anybody': parser('this.lineValue > this.bulkBytesMax', 'false'),
  'the end of a skipped bulk may be anything': parser(
    'if (this.buffer[at] !== CR || this.buffer[at + 1] !== LF) {',
    'if (this.buffer[at] === -1) {',
  ),
  'a long command begins anew with each piece': parser(
    'if (i >= LONG_ARGUMENTS_MIN) this.beginLong(at, count);',
    '',
  ),
  'a line is read past what has arrived': parser(
    'lineEnd === -1 || lineEnd >= end',
    'lineEnd === -1',
  ),
  'a quote closes in mid-word': {
    file: 'inline.ts',
    text: 'if (at < end && source[at] !== 0 && !isBlank(source[at])) return null;',
    instead: '',
  },
};

/** The sources, and the fuzz that uses them, without the rest. */
function copy(): string {
  const tree = mkdtempSync(join(tmpdir(), 'ingot-fault-'));
  for (const name of ['package.json', 'packages', 'test']) {
    cpSync(join(ROOT, name), join(tree, name), {
      recursive: true,
      filter: (path) => !/\/(dist|node_modules|golden)$/.test(path),
    });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
  return tree;
}

describe('the fuzz finds', () => {
  const tree = copy();
  afterAll(() => rmSync(tree, { recursive: true, force: true }));

  const fuzz = async (minutes: string): Promise<{ code: number | null; output: string }> => {
    const main = join(tree, 'test', 'fuzz', 'fuzz.ts');
    const words = ['--part', 'parser', '--seed', SEED, '--minutes', minutes];
    const child = new Child(process.execPath, ['--conditions=source', main, ...words]);
    const { code } = await child.ended;
    return { code, output: child.output };
  };

  test('nothing where nothing is planted', { timeout: TIMEOUT_MS }, async () => {
    const { code, output } = await fuzz('0.02');
    expect(output).toMatch(/^all held: parser$/m);
    expect(code).toBe(0);
  });

  test.each(Object.entries(FAULTS))(
    '%s',
    async (_name, { file, text, instead }) => {
      const path = join(tree, 'packages', 'node', 'src', 'resp', file);
      const source = readFileSync(path, 'utf8');
      expect(source.split(text).length, 'the source has it once').toBe(2);
      writeFileSync(path, source.replace(text, instead));
      const { code, output } = await fuzz(MINUTES);
      writeFileSync(path, source);
      expect(output).toMatch(/^BROKEN parser: /m);
      expect(code).toBe(1);
    },
    TIMEOUT_MS,
  );
});
