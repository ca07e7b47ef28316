/** Runs every scenario in scenarios/, each with a few seeds. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runScenario } from './scenario.ts';

const folder = join(import.meta.dirname, 'scenarios');
const files = readdirSync(folder).filter((file) => file.endsWith('.txt'));
const seeds = [1, 2, 3];

/** The comment that a scenario begins with. */
function claimOf(text: string): string {
  const lines = text.split('\n');
  return lines
    .slice(
      0,
      lines.findIndex((line) => !line.startsWith('#')),
    )
    .map((line) => line.slice(2))
    .join(' ');
}

const scenarios = files.map((file) => {
  const text = readFileSync(join(folder, file), 'utf8');
  return { name: file.replace('.txt', ''), text, claim: claimOf(text) };
});

describe('scenarios', () => {
  test.each(scenarios)('$name: $claim', ({ text }) => {
    for (const seed of seeds) runScenario(text, seed);
  });

  test('what does not come true is told with its line', () => {
    const text = 'nodes a b\nset a k=1\nheal\nexpect b k=2';
    expect(() => runScenario(text)).toThrow(/line 4, "expect b k=2": .*it is 1/);
  });

  test('what is no statement is told with its line', () => {
    expect(() => runScenario('nodes a b\nflip a coin')).toThrow(/line 2.*no statement/);
  });
});
