import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { commandsPath, withCommandTables } from './command-table.ts';

it('docs/commands.md says what the command table says (npm run docs rewrites it)', () => {
  const page = readFileSync(commandsPath, 'utf8');
  expect(page).toBe(withCommandTables(page));
});
