/** Commands that a client may well send, and that would spoil the run: they stop the node, or other clients, or wait for
 *  long. Streams that hold one are left out; with other arguments the same commands are sent. */

type Words = readonly string[];

const SHORT_MS = 50;
/** Words that CLIENT KILL knows: it would find the witness. */
const KILLS = new Set(['ID', 'TYPE', 'USER', 'ADDR', 'LADDR', 'SKIPME', 'MAXAGE']);
/** Parameters whose change harms nobody. */
const FREE_PARAMETERS = /^(slowlog|latency|nosuch)/i;
const SHUTDOWN_WORDS = new Set(['SAVE', 'NOSAVE', 'NOW', 'FORCE']);

const upper = (word: string | undefined): string => (word ?? '').toUpperCase();
/** As the node reads it, or NaN. */
const integer = (word: string | undefined): number =>
  /^-?[0-9]+$/.test(word ?? '') ? Number(word) : Number.NaN;

const HARMFUL: Readonly<Record<string, (words: Words) => boolean>> = {
  SHUTDOWN: (words) => words.slice(1).every((word) => SHUTDOWN_WORDS.has(upper(word))),
  WAIT: ([, count, ms]) => integer(count) > 0 && (integer(ms) === 0 || integer(ms) > SHORT_MS),
  CLIENT: ([, what, ...rest]) => {
    if (upper(what) === 'PAUSE') return integer(rest[0]) > SHORT_MS;
    return upper(what) === 'KILL' && rest.some((word) => KILLS.has(upper(word)));
  },
  CONFIG: ([, what, ...rest]) =>
    upper(what) === 'SET' && rest.some((name, i) => i % 2 === 0 && !FREE_PARAMETERS.test(name)),
};

export function isHarmful(commands: readonly Words[]): boolean {
  return commands.some((words) => HARMFUL[upper(words[0])]?.(words) ?? false);
}

/** How many replies there are to these cannot be said beforehand. */
export function isSilent(commands: readonly Words[]): boolean {
  return commands.some(([name, what]) => {
    if (upper(name) === 'CLIENT') return upper(what) === 'REPLY';
    return ['QUIT', 'POST', 'HOST:', 'INGOT.PROVE'].includes(upper(name));
  });
}
