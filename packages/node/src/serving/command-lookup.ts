/** From the bytes of a command name to its index in the command table, ignoring case; and from
 *  there to a subcommand that names keys, which stands behind all commands.
 *  A perfect hash: the constructor searches for a multiplier under which no two names collide, so a
 *  lookup is one hash of the name, one table read and one comparison. Longer names than any
 *  command's are refused unread. */

import type { Buffer } from 'node:buffer';
import { Buffer as Bytes } from 'node:buffer';
import type { Args } from '../resp/args.ts';
import type { Command } from './execution.ts';

const MULTIPLIERS_MAX = 100_000;
const LOWER = 0x20;

/** What a command does to its only key. */
export const OneKey = { no: 0, read: 1, write: 2 } as const;

interface KeyedSubcommand {
  readonly word: string;
  readonly index: number;
}

export class CommandLookup {
  /** Those that were given, and behind them subcommands with keys. */
  readonly commands: readonly Command[];
  /** Per entry of `commands`: itself, or the command that it is a subcommand of. */
  readonly owners: Int16Array;
  /** Per command: the argument that is its first key, or 0. */
  readonly firstKeys: Int16Array;
  /** Per command: whether it reads or writes one key, and is what its name says. */
  readonly oneKey: Uint8Array;
  /** Per command: its subcommands with keys; most have none. */
  private readonly keyed: readonly (readonly KeyedSubcommand[] | null)[];
  private readonly names: readonly Buffer[];
  private readonly slots: Int16Array;
  private readonly shift: number;
  private readonly multiplier: number;
  private readonly longest: number;

  constructor(commands: readonly Command[]) {
    const all = [...commands];
    const owners = commands.map((_, index) => index);
    this.keyed = commands.map(({ subcommands = [] }, owner) => {
      const withKeys = subcommands.filter(({ keys }) => keys.first > 0);
      if (withKeys.length === 0) return null;
      return withKeys.map((subcommand) => {
        owners.push(owner);
        const word = subcommand.name.slice(subcommand.name.indexOf('|') + 1).toUpperCase();
        return { word, index: all.push(subcommand) - 1 };
      });
    });
    this.commands = all;
    this.owners = Int16Array.from(owners);
    this.names = commands.map((command) => Bytes.from(command.name, 'latin1'));
    this.longest = Math.max(...this.names.map((name) => name.length));
    this.firstKeys = Int16Array.from(all, (command) => command.keys.first);
    this.oneKey = Uint8Array.from(all, oneKeyOf);
    for (let bits = 8; ; bits++) {
      const found = findMultiplier(this.names, 32 - bits);
      if (found === null) continue;
      this.shift = 32 - bits;
      this.multiplier = found.multiplier;
      this.slots = found.slots;
      return;
    }
  }

  /** The command's index, or -1 when there is none of this name. */
  find(buf: Buffer, start: number, bytes: number): number {
    if (bytes === 0 || bytes > this.longest) return -1;
    const mix = nameMix(buf, start, bytes);
    const index = this.slots[Math.imul(mix, this.multiplier) >>> this.shift];
    if (index < 0) return -1;
    const name = this.names[index];
    if (name.length !== bytes) return -1;
    for (let i = 0; i < bytes; i++) {
      let byte = buf[start + i];
      if (byte >= 0x41 && byte <= 0x5a) byte |= LOWER;
      if (byte !== name[i]) return -1;
    }
    return index;
  }

  /** The entry of the subcommand that argument 1 names, where it has keys; else `index`. */
  settle(index: number, args: Args): number {
    const keyed = index < 0 ? null : this.keyed[index];
    if (keyed === null || args.count < 2) return index;
    const named = keyed.find(({ word }) => args.is(1, word));
    return named === undefined ? index : named.index;
  }

  indexOf(name: string): number {
    return this.commands.findIndex((command) => command.name === name);
  }
}

function oneKeyOf({ kind, keys, subcommands = [] }: Command): number {
  if (keys.first === 0 || keys.first !== keys.last || subcommands.length > 0) return OneKey.no;
  return kind === 'read' ? OneKey.read : kind === 'write' ? OneKey.write : OneKey.no;
}

/** All bytes of a name, case ignored; names are short. */
function nameMix(buf: Buffer, start: number, bytes: number): number {
  let mix = bytes;
  for (let i = start; i < start + bytes; i++) mix = Math.imul(mix, 31) + (buf[i] | LOWER);
  return mix;
}

function findMultiplier(
  names: readonly Buffer[],
  shift: number,
): { multiplier: number; slots: Int16Array } | null {
  const mixes = names.map((name) => nameMix(name, 0, name.length));
  if (new Set(mixes).size !== mixes.length) {
    throw new Error('two command names are equal, or look so to the lookup');
  }
  const slots = new Int16Array(2 ** (32 - shift));
  for (let step = 1; step < MULTIPLIERS_MAX; step++) {
    const multiplier = Math.imul(step, 0x9e3779b1) | 1;
    slots.fill(-1);
    const free = mixes.every((mix, index) => {
      const slot = Math.imul(mix, multiplier) >>> shift;
      if (slots[slot] !== -1) return false;
      slots[slot] = index;
      return true;
    });
    if (free) return { multiplier, slots };
  }
  return null;
}
