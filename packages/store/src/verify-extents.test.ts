import { describe, expect, test } from 'vitest';
import {
  attachPartition,
  CHUNK_BYTES,
  createPartition,
  hashKey,
  type Partition,
  PartitionMap,
} from './index.ts';
import { EXTENT_CLASS, PAGES_PER_CHUNK, SCRATCH_ORPHAN_HEAD_WORD } from './layout.ts';
import { PartitionMemory } from './memory.ts';
import {
  bulk,
  bytesOf,
  endBulk,
  newFollower,
  newPrimary,
  patterned,
  refOf,
  SMALL,
  usedChunksOf,
  wordsOf,
} from './pair.fixture.ts';
import { classWord, tableWord } from './chunk-table.ts';

/** Two large values of keys with one bucket each, and where they are. 'large' has extents 0 to 2 and a tail. */
class Specimen {
  readonly handle = createPartition(SMALL, 0);
  readonly partition: Partition = attachPartition(this.handle);
  readonly image32: Int32Array = this.partition.image32;
  readonly image: Buffer = this.partition.imageBuffer;
  readonly ref: number;
  readonly other: number;

  constructor() {
    this.partition.promote(1, 1);
    const map = new PartitionMap(this.partition);
    map.set(bytesOf('large'), patterned(200_000, 1), 1);
    map.set(bytesOf('other'), patterned(65_530, 2), 1); // one extent, partly used
    this.ref = refOf(this.partition, 'large');
    this.other = refOf(this.partition, 'other');
  }

  /** Word of the list of the extents of 'large', or of 'other': both keys have 5 bytes, padded to 8. */
  list(ref: number = this.ref): number {
    return (ref + 32) >>> 2;
  }

  chunk(position: number, ref: number = this.ref): number {
    return this.image32[this.list(ref) + 1 + position];
  }
}

/** What is turned over, and the rule that it breaks. */
const damages: [string, (specimen: Specimen) => void, RegExp][] = [
  ['flags', ({ image, ref }) => (image[ref + 7] |= 4), /unknown flags/],
  ['the number of extents', (s) => s.image32[s.list()]--, /longer than its slot|no record|not fit/],
  ['no extents', (s) => (s.image32[s.list()] = 0), /longer than its slot|is no record|not fit/],
  [
    'the length of a value',
    ({ image32, ref }) => (image32[ref >>> 2] += 2 ** 21),
    /slot|is no record/,
  ],
  [
    'fewer bytes than the list is for',
    ({ image32, ref }) => (image32[ref >>> 2] = 2 * CHUNK_BYTES),
    /longer than its slot|is no record|not fit/,
  ],
  ['an extent that is none', (s) => (s.image32[s.list() + 1] = 2), /its extent 0 is none/],
  [
    'an extent behind the image',
    (s) => (s.image32[s.list() + 2] = SMALL.chunkCount),
    /its extent 1 is none/,
  ],
  [
    'extents in another order',
    (s) => s.image32.copyWithin(s.list() + 1, s.list() + 2, s.list() + 3),
    /its extent 0, chunk \d+, names another/,
  ],
  [
    'an extent of another key',
    (s) => (s.image32[s.list() + 1] = s.chunk(0, s.other)),
    /its extent 0, chunk \d+, names another/,
  ],
  [
    'the owner of an extent',
    (s) => s.image32[tableWord(s.chunk(1)) + 1]++,
    /its extent 1, chunk \d+, names another/,
  ],
  [
    'the position of an extent',
    (s) => s.image32[tableWord(s.chunk(1)) + 2]++,
    /its extent 1, chunk \d+, names another/,
  ],
  [
    'an extent in two lists',
    (s) => {
      const hash = hashKey(bytesOf('large'), 0, 5);
      // 'other' takes the place of another key with the hash of 'large', as far as the index can tell.
      const entry = s.image32.indexOf(s.other) - 1;
      s.image32[entry] = hash;
      s.image32[s.list(s.other) + 1] = s.chunk(0);
    },
    /names another|belongs to another|does not hash/,
  ],
];

/** Rules of bytes that no reader is misled by: `verify` names them, a received image may have them. */
const strict: [string, (specimen: Specimen) => void, RegExp][] = [
  [
    'what follows the key',
    ({ image, ref }) => (image[ref + 30] = 1),
    /what follows its key is zero/,
  ],
  [
    'what follows the list',
    // A list of 2: 'large' made shorter by its last extent and the tail.
    (s) => {
      s.image32[s.list()] = 2;
      s.image32[s.ref >>> 2] = 2 * CHUNK_BYTES;
    },
    /what follows its extents is zero/,
  ],
  [
    'the rest of the last extent',
    (s) => (s.image[s.chunk(0, s.other) * CHUNK_BYTES + 65_530] = 1),
    /its last extent is zero behind the value/,
  ],
];

const entries: [string, (specimen: Specimen) => void, RegExp][] = [
  ['reserved bytes', (s) => (s.image32[tableWord(s.chunk(0)) + 3] = 1), /^chunk table: entry/],
  [
    'a position that no list has',
    (s) => (s.image32[tableWord(s.chunk(0)) + 2] = 16_384),
    /^chunk table: entry/,
  ],
  ['the position of what is no extent', (s) => (s.image32[tableWord(2) + 2] = 1), /^chunk table:/],
];

describe('store: verify: extents', () => {
  test('finds nothing in a sound partition, in none of its chunks', () => {
    const { partition } = new Specimen();
    expect(partition.verify()).toBeNull();
    for (let chunk = 0; chunk < partition.chunksTouched(); chunk++) {
      expect(partition.verifyChunk(chunk)).toBeNull();
    }
  });

  test.each([...damages, ...strict])(
    'names %s, in the image and in its chunk',
    (_, damage, rule) => {
      const specimen = new Specimen();
      damage(specimen);
      expect(specimen.partition.verify()).toMatch(rule);
      const ofRecords = [specimen.ref, specimen.other].map((ref) =>
        specimen.partition.verifyChunk(ref >>> 16),
      );
      expect(ofRecords.some((broken) => broken !== null)).toBe(true);
    },
  );

  test.each(damages.slice(1))('a received image with %s is refused', (_, damage) => {
    const specimen = new Specimen();
    damage(specimen);
    const follower = newFollower();
    follower.beginBulk(specimen.partition.stats().seq);
    bulk(specimen.partition, follower, usedChunksOf(specimen.partition));
    expect(endBulk(specimen.partition, follower)).not.toBeNull();
    expect(follower.consistent()).toBe(false);
  });

  test.each(entries)('of a chunk table names %s', (_, damage, rule) => {
    const specimen = new Specimen();
    damage(specimen);
    expect(specimen.partition.verifyChunk(1)).toMatch(rule);
  });

  test('an extent is asked for through the record that refers to it', () => {
    const specimen = new Specimen();
    specimen.image[specimen.chunk(0, specimen.other) * CHUNK_BYTES + 65_531] = 1;
    expect(specimen.partition.verifyChunk(specimen.chunk(0, specimen.other))).toMatch(
      /is zero behind/,
    );
    expect(specimen.partition.verifyChunk(specimen.chunk(0))).toBeNull();
  });

  test('names the number of extents that scratch counts', () => {
    const { partition, handle } = new Specimen();
    wordsOf(handle)[classWord(EXTENT_CLASS) + 1]++;
    expect(partition.verify()).toMatch(/^extents are 5, the chunk table has 4/);
  });

  test.each([
    ['a chunk that is no extent', (): number => 2, /^orphans: chunk 2 is no extent/],
    [
      'one that a record refers to',
      (s: Specimen): number => s.chunk(1),
      /^orphans: a record refers/,
    ],
  ])('names in the list of orphans %s', (_, chunk, rule) => {
    const specimen = new Specimen();
    wordsOf(specimen.handle)[SCRATCH_ORPHAN_HEAD_WORD] = chunk(specimen);
    expect(specimen.partition.verify()).toMatch(rule);
  });

  test('names a list of orphans without end', () => {
    const { partition, handle } = new Specimen();
    const memory = new PartitionMemory(handle);
    new PartitionMap(partition).set(bytesOf('gone'), patterned(900_000, 1), 1);
    new PartitionMap(partition).delete(bytesOf('gone'), 1);
    const head = wordsOf(handle)[SCRATCH_ORPHAN_HEAD_WORD];
    expect(partition.verify()).toBeNull();
    memory.nextFree[head * PAGES_PER_CHUNK] = head;
    expect(partition.verify()).toMatch(/^orphans: their list is endless/);
  });

  test('readers of a damaged record stay inside the image, and throw nothing', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    map.set(bytesOf('large'), patterned(200_000, 1), 1);
    const ref = refOf(primary, 'large');
    const target = Buffer.alloc(300_000);
    let state = 11;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state;
    };
    const header = Int32Array.from(primary.image32.subarray(ref >>> 2, (ref >>> 2) + 16));
    for (let round = 0; round < 5_000; round++) {
      const word = [0, 1, 8, 9, 10, 11][random() % 6];
      primary.image32[(ref >>> 2) + word] = random() >>> (random() % 32);
      if (random() % 2 === 0) primary.image32[(ref >>> 2) + 1] |= 1 << 24;
      primary.valueBytes(ref);
      primary.inRange(ref);
      primary.copyValue(ref, random() % 400_000, random() % 400_000, target, random() % 400_000);
      map.get(bytesOf('large'), 1);
      primary.image32.set(header, ref >>> 2);
    }
    expect(primary.verify()).toBeNull();
  });
});
