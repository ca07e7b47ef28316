import { describe, expect, test } from 'vitest';
import { capacityOf, capacityRefusal, geometryOf, partitionCapacity } from './capacity.ts';
import { plainEntry, plainMap } from './map.fixture.ts';
import { parseClusterMap } from './map.ts';

const MIB = 2 ** 20;
const map = plainMap({
  placement: Array.from({ length: 4 }, () => plainEntry(null)),
  capacityBytes: 64 * MIB,
  capacityMaxBytes: 512 * MIB,
});

describe('capacity of a running cluster', () => {
  test('what the cluster was founded with, until the map says otherwise', () => {
    expect([capacityOf(map), partitionCapacity(map)]).toEqual([64 * MIB, 16 * MIB]);
    const raised = { ...map, capacityLimitBytes: 128 * MIB };
    expect([capacityOf(raised), partitionCapacity(raised)]).toEqual([128 * MIB, 32 * MIB]);
  });

  test('another limit leaves images, rings and the largest value as they are', () => {
    for (const capacityLimitBytes of [32 * MIB, 512 * MIB]) {
      const capacityChunks = capacityLimitBytes / 4 / 65_536;
      const changed = { ...map, capacityLimitBytes };
      expect(geometryOf(changed)).toEqual({ ...geometryOf(map), capacityChunks });
    }
  });

  test('refused beyond the images, and below what partitions need, with what would do', () => {
    expect(capacityRefusal(map, 512 * MIB)).toBe(null);
    expect(capacityRefusal(map, 32 * MIB)).toBe(null);
    expect(capacityRefusal(map, 513 * MIB)).toMatchObject({
      code: 'CAPACITY_TOO_LARGE',
      exitCode: 4,
      message:
        'a capacity of 513mb is more than the 512mb that the 4 partitions of this cluster are ' +
        'laid out for; "ingot capacity 512mb" is the most, for more found another cluster with ' +
        'a larger --capacity-max',
    });
    expect(capacityRefusal(map, 31 * MIB)).toMatchObject({
      code: 'CAPACITY_TOO_SMALL',
      message: expect.stringContaining('less than the 32mb that 4 partitions need, 8mb each'),
    });
    expect(capacityRefusal(map, 0)?.code).toBe('CAPACITY_TOO_SMALL');
  });

  test('a map that was written before there was a limit has none', () => {
    const { capacityLimitBytes: _, ...older } = { ...map, placement: [], partitions: 1 };
    const placement = [plainEntry(null)];
    expect(parseClusterMap({ ...older, placement }).capacityLimitBytes).toBe(null);
  });
});
