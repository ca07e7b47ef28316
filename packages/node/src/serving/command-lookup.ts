/** From the bytes of a command name to its index in the command table, ignoring case.
 *  A perfect hash: the constructor searches for a multiplier under which no two names collide, so a
 *  lookup is one hash of four bytes and the length, one table read, and one comparison. */

import type { Buffer } from 'node:buffer';
import { Buffer as Bytes } from 'node:buffer';
import type { Command } from './execution.ts';

const MULTIPLIERS_MAX = 100_000;
const LOWER = 0x20;

export class CommandLookup {
  readonly commands: readonly Command[];
  /** Per command: the argument that is its first key, or 0. */
  readonly firstKeys: Int16Array;
  private readonly names: readonly Buffer[];
  private readonly slots: Int16Array;
  private readonly shift: number;
  private readonly multiplier: number;

  constructor(commands: readonly Command[]) {
    this.commands = commands;
    this.names = commands.map((command) => Bytes.from(command.name, 'latin1'));
    this.firstKeys = Int16Array.from(commands, (command) => command.keys.first);
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
    if (bytes === 0) return -1;
    const mix = nameMix(buf, start, bytes);
    const index = this.slots[Math.imul(mix, this.multiplier) >>> this.shift] as number;
    if (index < 0) return -1;
    const name = this.names[index] as Buffer;
    if (name.length !== bytes) return -1;
    for (let i = 0; i < bytes; i++) {
      let byte = buf[start + i] as number;
      if (byte >= 0x41 && byte <= 0x5a) byte |= LOWER;
      if (byte !== name[i]) return -1;
    }
    return index;
  }

  indexOf(name: string): number {
    return this.commands.findIndex((command) => command.name === name);
  }
}

/** Four characteristic bytes, lower-cased, and the length. */
function nameMix(buf: Buffer, start: number, bytes: number): number {
  const first = (buf[start] as number) | LOWER;
  const middle = (buf[start + (bytes >> 1)] as number) | LOWER;
  const third = (buf[start + (bytes > 2 ? bytes - 2 : 0)] as number) | LOWER;
  const last = (buf[start + bytes - 1] as number) | LOWER;
  return (first | (middle << 8) | (third << 16) | (last << 24)) ^ Math.imul(bytes, 0x9e3779b1);
}

function findMultiplier(
  names: readonly Buffer[],
  shift: number,
): { multiplier: number; slots: Int16Array } | null {
  const mixes = names.map((name) => nameMix(name, 0, name.length));
  if (new Set(mixes).size !== mixes.length) {
    throw new Error('two command names look alike to the lookup: change nameMix');
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
