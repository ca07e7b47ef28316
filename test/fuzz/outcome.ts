/** What a stream of bytes is, however it is cut: commands, then a protocol error, or half a command that waits for more. */

export interface Outcome {
  /** Words as latin1 text. */
  readonly commands: readonly (readonly string[])[];
  readonly error: string | null;
  /** Bytes are left that are the beginning of a command. */
  readonly waits: boolean;
}

const SHOWN_COMMANDS = 5;
const SHOWN_CHARACTERS = 120;

/** What stands for a command with an argument that is longer than any value may be, whether it was kept or passed over. */
export function tooLong(bytes: number): readonly string[] {
  return [`too long: ${bytes}`];
}

/** As `tooLong` says, where it is. */
export function shortened(words: readonly string[], valueBytesMax: number): readonly string[] {
  const long = words.find((word) => word.length > valueBytesMax);
  return long === undefined ? words : tooLong(long.length);
}

/** How the two differ, in a few words, or null. */
export function differenceOf(ours: Outcome, expected: Outcome): string | null {
  const count = Math.max(ours.commands.length, expected.commands.length);
  for (let i = 0; i < count; i++) {
    const [one, other] = [ours.commands[i], expected.commands[i]];
    const isSame =
      one !== undefined &&
      other !== undefined &&
      one.length === other.length &&
      one.every((word, k) => word === other[k]);
    if (!isSame) return `command ${i} is ${shown(one)}, and not ${shown(other)}`;
  }
  if (ours.error !== expected.error) return `the error is ${ours.error}, and not ${expected.error}`;
  if (ours.waits !== expected.waits) return `${ours.waits ? 'waits' : 'does not wait'} for more`;
  return null;
}

function shown(words: readonly string[] | undefined): string {
  if (words === undefined) return 'missing';
  const text = JSON.stringify(words.slice(0, SHOWN_COMMANDS)).slice(0, SHOWN_CHARACTERS);
  return `${text} (${words.length} words)`;
}
