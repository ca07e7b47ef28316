/** The rounds of the log worker: group after group while there is something to write, asleep while there is not.
 *  Whoever holds replies is told after every commit, whichever look it was that found the group: else a reply waits
 *  until its worker looks by itself. */

/** What nobody waits for is on disk after so long. */
const IDLE_MS = 20;

export interface Rounds {
  /** `step`: see LogWriter. */
  readonly writer: { step(): boolean };
  /** Who writes something that waits for the disk ends the sleep; see LogBoard. */
  readonly board: { announce(): void; sleep(ms: number): Promise<void> };
  /** A group is on disk. */
  readonly committed: () => void;
  readonly ending: AbortSignal;
}

/** Once told to end it writes what is left, and no more. */
export async function writeGroups({ writer, board, committed, ending }: Rounds): Promise<void> {
  const step = (): boolean => {
    if (!writer.step()) return false;
    committed();
    return true;
  };
  while (!ending.aborted) {
    if (step()) {
      await messages();
      continue;
    }
    board.announce();
    // What came before the announcement woke nobody.
    if (!step()) await board.sleep(IDLE_MS);
  }
  while (step()) await messages();
}

/** Lets messages have their turn. */
function messages(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
