import { expect, test } from 'vitest';
import { NO_CHECKPOINTS, NO_SCRUB } from '../control/types.ts';
import { plainEntry, plainMap, plainNode } from '../shared/map.fixture.ts';
import { behind, changeText, presentText, sizeFrom } from './capacity.ts';

const map = plainMap({
  version: 9,
  capacityMaxBytes: 2 ** 33,
  capacityLimitBytes: 2 ** 31,
  nodes: [plainNode('n1'), plainNode('n2'), plainNode('n3', { state: 'down' })],
  placement: Array.from({ length: 4 }, () => plainEntry('n1')),
});

test('capacity: a size is written as for --capacity', () => {
  expect(['2gb', '1.5gb', '512MB', '1073741824'].map(sizeFrom)).toEqual([
    2 ** 31,
    1.5 * 2 ** 30,
    2 ** 29,
    2 ** 30,
  ]);
  expect(() => sizeFrom('a lot')).toThrow('SIZE must be a size such as 512mb or 2gb, not "a lot"');
});

test('capacity: alone it says what there is and what there may be', () => {
  expect(presentText(map)).toBe(
    'capacity 2gb, 512mb for each of 4 partitions; it may be 32mb to 8gb',
  );
});

test('capacity: a change names what was, and who does not follow yet', () => {
  expect(changeText(2 ** 30, 2 ** 31, [])).toBe('capacity 2gb, it was 1gb');
  expect(changeText(2 ** 31, 2 ** 31, [])).toBe('capacity 2gb, as before');
  expect(changeText(2 ** 30, 2 ** 31, ['n2'])).toContain('n2 will follow when heard again');
});

test('capacity: nodes that are up are waited for, until they have the map that says so', () => {
  const at = (node: string, mapVersion: number) => ({
    node,
    why: '',
    status: {
      ...{ node, incarnation: 1, mapVersion, partitions: [] },
      ...{ scrub: NO_SCRUB, checkpoints: NO_CHECKPOINTS },
    },
  });
  expect(behind({ map, nodes: [at('n1', 9), at('n2', 10)] }, 2 ** 31)).toEqual([]);
  expect(behind({ map, nodes: [at('n1', 9), at('n2', 8)] }, 2 ** 31)).toEqual(['n2']);
  expect(behind({ map, nodes: [at('n1', 9)] }, 2 ** 31)).toEqual(['n2']);
  expect(behind({ map, nodes: [at('n1', 9), at('n2', 9)] }, 2 ** 32)).toEqual(['n1', 'n2']);
});
