import { describe, expect, test } from 'vitest';
import {
  attachPartition,
  createPartition,
  hashKey,
  type Partition,
  type PartitionHandle,
  PartitionMap,
} from './index.ts';
import {
  CHUNK_SLAB,
  FREE_UNIT_COUNT,
  HEADER_BUCKET_COUNT,
  HEADER_HISTORY,
  PAGE_BYTES,
  SCRATCH_FREE_UNITS_WORD,
  SCRATCH_KEY_COUNT_WORD,
} from './layout.ts';
import { PartitionMemory } from './memory.ts';
import { bytesOf, refOf, SMALL } from './pair.fixture.ts';
import { classOfRecord, OVERFLOW_CLASS } from './size-classes.ts';
import { classWord, tableWord } from './chunk-table.ts';

const NAME = 'some key';
const INDEX_CHUNK = 2;

/** A sound partition, its memory, and where in it one record, its entry and its bucket are. */
class Specimen {
  readonly handle: PartitionHandle = createPartition(SMALL, 0);
  readonly partition: Partition = attachPartition(this.handle);
  readonly memory: PartitionMemory = new PartitionMemory(this.handle);
  readonly image32: Int32Array = this.memory.image32;
  readonly ref: number;
  readonly entry: number;
  readonly chunk: number;
  /** The page where the record's unit begins; chunks of a class that takes such, and of one with units of four pages. */
  readonly unit: number;
  readonly wholeChunk: number;
  readonly largeUnitChunk: number;

  constructor() {
    const { partition, image32 } = this;
    partition.promote(1, 1);
    const map = new PartitionMap(partition);
    for (let i = 0; i < 4_200; i++) map.set(bytesOf(`k${i}`), Buffer.alloc(20), 1);
    for (let i = 0; i < 200; i++) map.set(bytesOf(`l${i}`), Buffer.alloc(3_000), 1);
    for (let i = 0; i < 200; i++) map.delete(bytesOf(`l${i}`), 1);
    partition.sweep(0, 1_000, 1);
    map.set(bytesOf(NAME), bytesOf('value'), 1);
    this.ref = partition.find(this.hash, bytesOf(NAME), 0, NAME.length, 1);
    this.chunk = this.ref >>> 16;
    this.unit = this.ref >>> 13;
    map.set(bytesOf('whole'), Buffer.alloc(9_000), 1);
    this.wholeChunk = refOf(partition, 'whole') >>> 16;
    map.set(bytesOf('of four pages'), Buffer.alloc(1_800), 1);
    this.largeUnitChunk = refOf(partition, 'of four pages') >>> 16;
    const index = image32.subarray(0, partition.chunksTouched() << 14);
    this.entry = index.indexOf(this.ref) - 1;
  }

  get hash(): number {
    return hashKey(bytesOf(NAME), 0, NAME.length);
  }

  /** Word of the first bucket's entry that holds a record. */
  otherEntry(): number {
    let word = INDEX_CHUNK << 14;
    while (this.image32[word + 1] === 0 || word === this.entry || (word & 15) >= 14) word += 2;
    return word;
  }

  /** Word of the overflow ref of some bucket that has one. */
  overflowWord(): number {
    let word = (INDEX_CHUNK << 14) + 14;
    while (this.image32[word] === 0) word += 16;
    return word;
  }
}

/** What is turned over, how, and the rule that verify then names. */
const damages: [string, (specimen: Specimen) => void, RegExp][] = [
  ['the magic', ({ image32 }) => (image32[0] ^= 1), /^header: magic/],
  ['the format version', ({ image32 }) => (image32[1] ^= 2), /^header: format version/],
  ['the byte order', ({ image32 }) => (image32[1] ^= 1 << 16), /^header: byte order/],
  ['the chunk size', ({ image32 }) => (image32[2] += 4), /^header: chunk bytes/],
  ['the number of partitions', ({ image32 }) => (image32[4] = 2), /^header: partitions/],
  ['the number of chunks', ({ image32 }) => image32[5]++, /^header: chunk count/],
  [
    'the number of buckets',
    ({ image32 }) => (image32[HEADER_BUCKET_COUNT / 4] = 1),
    /^header: bucket count/,
  ],
  [
    'a bucket too many',
    ({ image32 }) => image32[HEADER_BUCKET_COUNT / 4]++,
    /^index directory: position 1 names chunk 0/,
  ],
  ['the touched chunks', ({ image32 }) => (image32[7] = 1), /^header: chunks touched/],
  ['the length of the history', ({ image32 }) => (image32[10] = 65), /^header: history/],
  [
    'an epoch that does not rise',
    ({ image32 }) => (image32[HEADER_HISTORY / 4] = 0),
    /^history: entry 0 does not follow/,
  ],
  [
    'an epoch of the future',
    ({ image32 }) => (image32[HEADER_HISTORY / 4 + 2] = 1e9),
    /^history: entry 0 is from the future/,
  ],
  ['the directory', ({ image32 }) => image32[8_192]++, /^index directory: position 0/],
  [
    'a directory entry behind the last',
    ({ image32 }) => (image32[8_193] = 2),
    /^index directory: position 1 is behind/,
  ],
  [
    'a second index chunk',
    ({ image32, chunk }) => image32.set([3, 1], tableWord(chunk)),
    /^chunk table: index chunk \d+ is not in/,
  ],
  [
    'the kind of a chunk',
    ({ image32, chunk }) => (image32[tableWord(chunk)] = 9),
    /^chunk table: chunk \d+ has kind 9/,
  ],
  [
    'the kind of the table',
    ({ image32 }) => (image32[tableWord(1)] = 4),
    /^chunk table: chunk 1 has kind 4/,
  ],
  [
    'the class of a chunk',
    ({ image32, chunk }) => (image32[tableWord(chunk)] |= 0xff00),
    /has units of 255 pages/,
  ],
  [
    'the class of a whole chunk',
    ({ image32, wholeChunk }) => (image32[tableWord(wholeChunk)] |= 0xff00),
    /has size class 255/,
  ],
  [
    'a class that takes pages, of a whole chunk',
    ({ image32, wholeChunk }) => (image32[tableWord(wholeChunk)] = CHUNK_SLAB | (5 << 8)),
    /has size class 5/,
  ],
  [
    'the class of a page',
    ({ image32, chunk }) => (image32[tableWord(chunk) + 1] |= 0xff),
    /^chunk table: page \d+ has size class 255/,
  ],
  [
    'a page of another class than its unit',
    ({ image32, largeUnitChunk }) => (image32[tableWord(largeUnitChunk) + 1] &= 0xffffff),
    /^chunk table: page \d+ has size class 0/,
  ],
  [
    'a cut chunk of which nothing is used',
    ({ image32, chunk }) => image32.fill(0, tableWord(chunk) + 1, tableWord(chunk) + 3),
    /is cut, and no unit of it used/,
  ],
  [
    'a byte of a free unit',
    ({ memory }) => memory.imageBuffer[freeUnitOf(memory) * PAGE_BYTES + 5_000]++,
    /^unit \d+: free, but not zero/,
  ],
  [
    'the count of free units',
    ({ memory }) => memory.scratch32[SCRATCH_FREE_UNITS_WORD + FREE_UNIT_COUNT]--,
    /^free units of 1 pages: \d+ of \d+ are listed/,
  ],
  [
    'the list of free units',
    ({ memory }) => memory.scratch32.fill(0, SCRATCH_FREE_UNITS_WORD, SCRATCH_FREE_UNITS_WORD + 2),
    /^unit \d+: free, and listed wrongly/,
  ],
  [
    'a list of free units that is a ring',
    ({ memory }) => (memory.nextFree[freeUnitOf(memory)] = freeUnitOf(memory)),
    /^free units of 1 pages: their list is endless/,
  ],
  [
    'a kind beyond the touched',
    ({ image32, partition }) => (image32[tableWord(partition.chunksTouched())] = 3),
    /was never touched/,
  ],
  [
    'the hash of an entry',
    ({ image32, entry }) => image32[entry]++,
    /its key does not hash to its entry/,
  ],
  ['the ref of an entry', ({ image32, entry }) => (image32[entry + 1] += 16), /is no slot/],
  [
    'an entry without a ref',
    ({ image32, entry }) => (image32[entry + 1] = 0),
    /a hash without a record/,
  ],
  [
    'an entry that went missing',
    ({ image32, entry }) => image32.fill(0, entry, entry + 2),
    /^record count is/,
  ],
  [
    'a ref that is there twice',
    (s) => s.image32.copyWithin(s.otherEntry(), s.entry, s.entry + 2),
    /in bucket|referred to twice/,
  ],
  [
    'an overflow ref',
    (s) => (s.image32[s.overflowWord()] += 32),
    /overflow bucket \d+ counts as free/,
  ],
  [
    'a chain that bites its tail',
    (s) => (s.image32[(s.image32[s.overflowWord()] >>> 2) + 14] = s.image32[s.overflowWord()]),
    /linked twice|its chain is too long/,
  ],
  [
    'the length of a value',
    ({ image32, ref }) => (image32[ref >>> 2] = 5_000),
    /longer than its slot/,
  ],
  ['a length below zero', ({ image32, ref }) => (image32[ref >>> 2] = -1), /longer than its slot/],
  [
    'the length of a key',
    ({ image32, ref }) => image32[(ref >>> 2) + 1]--,
    /its key does not hash/,
  ],
  [
    'the class of a record',
    ({ image32, ref }) => (image32[(ref >>> 2) + 1] ^= 1 << 16),
    /class differs from its unit/,
  ],
  [
    'the flags of a record',
    ({ image32, ref }) => (image32[(ref >>> 2) + 1] |= 4 << 24),
    /unknown flags/,
  ],
  [
    'the key of a record',
    ({ memory, ref }) => memory.imageBuffer[ref + 24]++,
    /its key does not hash/,
  ],
  [
    'a seq of the future',
    ({ image32, ref }) => (image32[(ref >>> 2) + 4] = 1e8),
    /from the future/,
  ],
  [
    'a byte of a free chunk',
    ({ memory, partition }) => (memory.imageBuffer[(freeChunkOf(partition) << 16) + 9] = 1),
    /free, but not zero/,
  ],
  [
    'the used bit of a record',
    ({ memory, ref }) => (memory.usedBits[ref >>> 10] ^= 1 << ((ref >>> 5) & 31)),
    /its slot counts as free/,
  ],
  [
    'the used bit of a free slot',
    ({ memory }) => (memory.usedBits[memory.scratch32[classWord(0)] * 8 + 63] ^= 1 << 30),
    /no bucket refers to it/,
  ],
  ['the free count of a unit', ({ memory, unit }) => memory.freeCounts[unit]++, /free count is/],
  [
    'the hint of a unit',
    ({ memory, unit }) => (memory.freeHints[unit] = 2_047),
    /a free slot lies below its hint/,
  ],
  [
    'the used slots of a class',
    ({ memory }) => memory.scratch32[classWord(classOfRecord(60)) + 4]++,
    /^class \d+: used slots/,
  ],
  [
    'the units of a class',
    ({ memory }) => memory.scratch32[classWord(OVERFLOW_CLASS) + 1]++,
    /^class 0: units are/,
  ],
  [
    'the free list of a class',
    ({ memory }) => (memory.scratch32[classWord(OVERFLOW_CLASS)] = 0),
    /^class 0: 0 of \d+ free slots/,
  ],
  [
    'a free list that is a ring',
    ({ memory }) =>
      (memory.nextFree[memory.scratch32[classWord(0)]] = memory.scratch32[classWord(0)]),
    /^class 0: its list is endless/,
  ],
  ['the key count', ({ memory }) => memory.scratch32[SCRATCH_KEY_COUNT_WORD]--, /^key count is/],
  ['the used chunks', ({ memory }) => memory.scratch32[60]++, /^used chunks are/],
  ['a stamp', ({ memory }) => memory.stamps[2]++, /its stamp is from the future/],
];

/** The first in the list of free units of one page. */
function freeUnitOf(memory: PartitionMemory): number {
  return memory.scratch32[SCRATCH_FREE_UNITS_WORD];
}

function freeChunkOf(partition: Partition): number {
  for (let chunk = 3; chunk < partition.chunksTouched(); chunk++) {
    if (partition.chunkIsFree(chunk)) return chunk;
  }
  throw new Error('the specimen has a free chunk');
}

describe('store: verify', () => {
  test('finds nothing in a sound partition', () => {
    const { partition, entry, ref } = new Specimen();
    expect(partition.verify()).toBeNull();
    expect(entry).toBeGreaterThan(0);
    expect(ref).toBeGreaterThan(0);
  });

  test.each(damages)('names %s', (_, damage, rule) => {
    const specimen = new Specimen();
    damage(specimen);
    expect(specimen.partition.verify()).toMatch(rule);
  });

  test('names a key that is there twice', () => {
    const { partition, image32, entry, ref } = new Specimen();
    const key = bytesOf('another!');
    new PartitionMap(partition).set(key, bytesOf('value'), 1);
    const twin = partition.find(hashKey(key, 0, key.length), key, 0, key.length, 1);
    const bucket = entry & ~15;
    let hole = bucket;
    while (image32[hole + 1] !== 0) hole += 2;
    expect(hole).toBeLessThan(bucket + 14);
    // The twin takes the first one's key and stands beside it.
    const twinEntry = image32.indexOf(twin) - 1;
    image32.copyWithin((twin >>> 2) + 6, (ref >>> 2) + 6, (ref >>> 2) + 8);
    image32.fill(0, twinEntry, twinEntry + 2);
    image32.set([image32[entry], twin], hole);
    expect(partition.verify()).toMatch(/its key is there twice/);
  });

  test('however an image is damaged, verify ends with a rule and never throws', () => {
    const { partition, memory } = new Specimen();
    const sound = Buffer.from(memory.imageBuffer);
    let state = 7;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    for (let round = 0; round < 200; round++) {
      const at = random(4) * 65_536 + random(16_384) * 4;
      const before = memory.image32[at >>> 2];
      memory.image32[at >>> 2] = random(2 ** 32) | 0;
      expect(() => partition.verify()).not.toThrow();
      memory.image32[at >>> 2] = before;
    }
    expect(memory.imageBuffer.equals(sound)).toBe(true);
    expect(partition.verify()).toBeNull();
  });
});
