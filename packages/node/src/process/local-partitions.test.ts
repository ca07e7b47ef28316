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
