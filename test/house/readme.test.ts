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

test('docs/clients.md names the versions of clients that are tested', () => {
  const page = readFileSync(join(root, 'docs/clients.md'), 'utf8');
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  const table = page.slice(page.indexOf('<!-- versions -->'), page.indexOf('<!-- end -->'));
  const rows = [...table.matchAll(/^\| `(.+?)`.*? \| (\S+) \|/gm)].map(([, name, version]) => [
    name,
    version,
  ]);
  expect(rows.length).toBeGreaterThan(5);
  expect(rows).toEqual(rows.map(([name]) => [name, manifest.devDependencies[name]]));
  const readme = readFileSync(readmePath, 'utf8');
  for (const [, version] of rows) expect(readme).toContain(` ${version}`);
});
