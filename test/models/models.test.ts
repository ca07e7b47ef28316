import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Pair, RingReader } from '../../packages/store/src/pair.fixture.ts';
import { history, runHistory } from './commands.ts';
import { replay } from './replay.ts';
import { World } from './world.ts';

/** Always the same ones; `npm run soak` tries others. */
const RUNS = 1_000;
const SEED = 1;
const COMMANDS_MAX = 40;

describe('models', () => {
  // The image of the map, that of a copy, and that of an earlier moment after the redo since are compared, too.
  test('any history returns what a plain Map would, and leaves the same bytes everywhere', () => {
    const any = fc.property(history(COMMANDS_MAX), (commands) => runHistory(commands));
    fc.assert(any, { numRuns: RUNS, seed: SEED });
  });

  test('a history that fails shrinks to the few commands that matter, and says them', () => {
    const any = fc.property(history(COMMANDS_MAX), (commands) => runHistory(commands, faulty()));
    const { counterexample } = fc.check(any, { numRuns: RUNS, seed: SEED });
    const commands = counterexample?.[0];
    expect(fc.stringify(commands)).toMatch(
      /^\[\w+ \{"key":"(k\d)","bytes":5001,[^}]*\},append \{"key":"\1","bytes":1,"salt":0\}\]$/,
    );
  });

  test('redo by the letter of the format leads to the same bytes, and less of it does not', () => {
    const { primary, map } = new Pair();
    const before = Buffer.from(primary.imageBuffer);
    const reader = new RingReader(primary, primary.stats().seq + 1);
    for (const bytes of [10, 1_000, 70_000]) map.set(Buffer.from('k'), Buffer.alloc(bytes, 7), 1);
    const redo = Buffer.from(reader.buffer.subarray(0, reader.read()));
    const whole = Buffer.from(before);
    replay(whole, redo);
    expect(whole.equals(primary.imageBuffer)).toBe(true);
    replay(before, redo.subarray(redo.readUInt32LE(0)));
    expect(before.equals(primary.imageBuffer)).toBe(false);
  });
});

/** What is added to a value of more than 5,000 bytes comes without its last byte. */
function faulty(): World {
  const world = new World();
  const { map } = world;
  const append = map.append.bind(map);
  map.append = (key, value) => {
    const isLong = (map.get(key)?.length ?? 0) > 5_000;
    return append(key, isLong ? value.slice(0, -1) : value);
  };
  return world;
}
