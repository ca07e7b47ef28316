import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { readmePath, withOptionTables } from './option-tables.ts';

const root = dirname(readmePath);
const docs = readdirSync(join(root, 'docs')).map((page) => `docs/${page}`);
const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...docs];

test('readme: its option tables say what the command takes (npm run docs rewrites them)', () => {
  const readme = readFileSync(readmePath, 'utf8');
  expect(readme).toBe(withOptionTables(readme));
});

test.each(pages)('%s: every path that it links to is there', (page) => {
  const text = readFileSync(join(root, page), 'utf8');
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map((match) => match[1]);
  expect(links.filter((link) => !existsSync(join(root, dirname(page), link)))).toEqual([]);
});

test('readme: every npm script that the pages name exists', () => {
  const manifest = readFileSync(join(root, 'package.json'), 'utf8');
  const { scripts } = JSON.parse(manifest) as { scripts: Record<string, string> };
  const named = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/npm run ([a-z:]+)/g)].map(
      ([, name]) => name,
    ),
  );
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});
