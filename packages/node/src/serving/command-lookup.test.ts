import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../commands/table.ts';
import { CommandLookup } from './command-lookup.ts';
import { INTERNAL_COMMANDS } from './internal-commands.ts';

const all = [...COMMANDS, ...INTERNAL_COMMANDS];
const lookup = new CommandLookup(all);

function find(name: string): number {
  const bytes = Buffer.from(`..${name}..`, 'latin1');
  return lookup.find(bytes, 2, name.length);
}

describe('command lookup', () => {
  it('finds every command in any case', () => {
    all.forEach(({ name }, index) => {
      const mixed = name.replaceAll(/(.)(.?)/g, (_, a: string, b: string) => a.toUpperCase() + b);
      expect([find(name), find(name.toUpperCase()), find(mixed)]).toEqual([index, index, index]);
    });
  });

  it('finds nothing for names that are close, empty or long', () => {
    for (const name of ['', 'ge', 'gett', 'g\x05t', 'GE\x14', 'set ', 'x'.repeat(70_000)]) {
      expect(find(name), name.slice(0, 10)).toBe(-1);
    }
  });
});
