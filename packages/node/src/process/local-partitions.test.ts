import { describe, expect, test } from 'vitest';
import { plainEntry, plainMap } from '../shared/map.fixture.ts';
import type { ClusterMap, PlacementEntry } from '../shared/map.ts';
import { LocalPartitions, roleName } from './local-partitions.ts';

const MIB = 1 << 20;
const roomy = { bytes: 1 << 30, of: 'machine' } as const;

function mapAt(version: number, ...placement: PlacementEntry[]): ClusterMap {
  const capacityBytes = placement.length * 8 * MIB;
  return plainMap({ version, placement, capacityBytes, capacityMaxBytes: capacityBytes });
}

function entry(epoch: number, primary: string, ...followers: string[]): PlacementEntry {
  return plainEntry(primary, followers, { epoch });
}

/** Local partitions, and what the rest of the node hears of them. */
function partitionsWith(limit: { bytes: number; of: 'machine' | 'container' }) {
  const heard: string[] = [];
  const local: LocalPartitions = new LocalPartitions(
    'me',
    limit,
    {
      attach: ({ id }) => heard.push(`attach ${id} as ${describeCopy(local, id)}`),
      publish: ({ version }) => heard.push(`map ${version}`),
      detach: (id) => heard.push(`detach ${id}`),
    },
    (level, event) => heard.push(`${level} ${event}`),
  );
  return { local, heard };
}

function describeCopy(local: LocalPartitions, id: number): string {
  const partition = local.get(id);
  return partition === undefined ? 'nothing' : `${roleName(partition)}@${partition.epoch()}`;
}

describe('local partitions', () => {
  test('workers get a copy with its role, and the map after it', () => {
    const { local, heard } = partitionsWith(roomy);
    local.apply(mapAt(1, entry(1, 'me'), entry(4, 'b', 'me')));
    expect(heard).toEqual(['attach 0 as primary@1', 'attach 1 as follower@4', 'map 1']);
    expect(local.get(0)?.consistent()).toBe(true);
    expect(local.get(1)?.consistent()).toBe(false);
  });

  test('a map that is not newer changes nothing', () => {
    const { local, heard } = partitionsWith(roomy);
    local.apply(mapAt(2, entry(1, 'me')));
    local.apply(mapAt(2, entry(1, 'b')));
    local.apply(mapAt(1, entry(1, 'b')));
    expect(describeCopy(local, 0)).toBe('primary@1');
    expect(local.appliedVersion()).toBe(2);
    expect(heard.filter((line) => line.startsWith('map'))).toEqual(['map 2']);
  });

  test('a primary that hands over follows at the next epoch, unsealed, and may lead again', () => {
    const { local } = partitionsWith(roomy);
    local.apply(mapAt(1, entry(1, 'me', 'b')));
    local.get(0)?.seal(true);
    local.apply(mapAt(2, entry(2, 'b', 'me')));
    expect(describeCopy(local, 0)).toBe('follower@2');
    expect(local.get(0)?.sealed()).toBe(false);
    local.apply(mapAt(3, entry(3, 'me', 'b')));
    expect(describeCopy(local, 0)).toBe('primary@3');
    expect(
      local
        .get(0)
        ?.history()
        .map(({ epoch }) => epoch),
    ).toEqual([1, 3]);
  });

  test('a copy that has not synced is not promoted', () => {
    const { local, heard } = partitionsWith(roomy);
    local.apply(mapAt(1, entry(1, 'b', 'me')));
    local.apply(mapAt(2, entry(2, 'me')));
    expect(describeCopy(local, 0)).toBe('follower@1');
    expect(heard).toContain('error partition.notPromoted');
  });

  test('copies go by the limit of the map: primaries, followers, and those made later', () => {
    const { local } = partitionsWith(roomy);
    const capacities = (): number[] => local.samples().map((sample) => sample.capacityBytes / MIB);
    const mapWith = (version: number, limitMib: number | null, ...placement: PlacementEntry[]) => ({
      ...mapAt(version, ...placement),
      capacityMaxBytes: 256 * MIB,
      capacityLimitBytes: limitMib === null ? null : limitMib * MIB,
    });
    const [led, followed, absent] = [entry(1, 'me'), entry(1, 'b', 'me'), entry(1, 'b')];
    local.apply(mapWith(1, null, led, followed, absent, absent));
    expect(capacities()).toEqual([8, 8]);
    local.apply(mapWith(2, 64, led, followed, absent, absent));
    expect(capacities()).toEqual([16, 16]);
    local.apply(mapWith(3, 64, led, followed, followed, absent));
    expect(capacities()).toEqual([16, 16, 16]);
    local.apply(mapWith(4, 32, led, followed, followed, absent));
    expect(capacities()).toEqual([8, 8, 8]);
  });

  test('a limit beyond the memory there is is followed, with a warning', () => {
    const { local, heard } = partitionsWith({ bytes: 22 * MIB, of: 'machine' });
    const map = { ...mapAt(1, entry(1, 'me')), capacityMaxBytes: 64 * MIB };
    local.apply(map);
    local.apply({ ...map, version: 2, capacityLimitBytes: 64 * MIB });
    local.apply({ ...map, version: 3, capacityLimitBytes: 64 * MIB });
    expect(local.samples()[0].capacityBytes).toBe(64 * MIB);
    expect(heard.filter((line) => line === 'warn memory.short')).toHaveLength(1);
  });

  test('a dropped copy is taken from the workers, its counters stay', () => {
    const { local, heard } = partitionsWith(roomy);
    local.apply(mapAt(1, entry(1, 'me', 'b')));
    local.apply(mapAt(2, entry(2, 'b', 'c')));
    expect(heard.slice(-2)).toEqual(['map 2', 'detach 0']);
    expect(local.all()).toEqual([]);
    expect(local.gone()).toEqual({ evictions: 0, expiries: 0, moves: 0, drains: 0 });
  });

  test('copies that do not fit in memory are left out, with the numbers, and tried again', () => {
    const { local, heard } = partitionsWith({ bytes: 22 * MIB, of: 'container' });
    local.apply(mapAt(1, entry(1, 'me'), entry(1, 'me'), entry(1, 'me'), entry(1, 'b', 'me')));
    expect(local.all().map(({ id }) => id)).toEqual([0, 1]);
    expect(local.refusal()?.message).toMatch(/4 partition copies .* this container has 22 MiB/);
    expect(heard.filter((line) => line === 'error memory.refused')).toHaveLength(1);
    local.apply(mapAt(2, entry(1, 'me'), entry(2, 'b'), entry(1, 'me'), entry(2, 'b', 'c')));
    expect(local.refusal()).toBeNull();
    expect(local.all().map(({ id }) => id)).toEqual([0, 2]);
  });
});
