import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CopySet, type PlacementTarget, place } from './placement.ts';

const nodeNames = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const memberCounts = fc.integer({ min: 1, max: nodeNames.length });
const partitionCounts = fc.constantFrom(1, 2, 8, 64);
const copyCounts = fc.integer({ min: 1, max: 3 });

/** Any map that may turn up: copies anywhere, too few, too many, a primary missing. */
const anyCopySet: fc.Arbitrary<CopySet> = fc
  .subarray(nodeNames, { minLength: 0, maxLength: 4 })
  .chain((holders) =>
    fc
      .boolean()
      .map(
        (led): CopySet =>
          led && holders.length > 0
            ? { primary: holders[0], followers: holders.slice(1) }
            : { primary: null, followers: holders },
      ),
  );
const anyPlacement = partitionCounts.chain((count) =>
  fc.array(anyCopySet, { minLength: count, maxLength: count }),
);

function empty(partitions: number): CopySet[] {
  return Array.from({ length: partitions }, () => ({ primary: null, followers: [] }));
}

function spread(counts: number[]): number {
  return Math.max(...counts) - Math.min(...counts);
}

function leads(members: string[], placement: PlacementTarget[]): number[] {
  return members.map((node) => placement.filter((entry) => entry.primary === node).length);
}

function follows(members: string[], placement: PlacementTarget[]): number[] {
  return members.map((node) => placement.filter((entry) => entry.followers.includes(node)).length);
}

function copiesAdded(before: CopySet[], after: PlacementTarget[]): number {
  return after.reduce((sum, entry, partition) => {
    const held = new Set([before[partition].primary, ...before[partition].followers]);
    return sum + [entry.primary, ...entry.followers].filter((node) => !held.has(node)).length;
  }, 0);
}

describe('placement', () => {
  test('each partition has its copies on different members, whatever the map was before', () => {
    fc.assert(
      fc.property(memberCounts, anyPlacement, copyCounts, (memberCount, current, copies) => {
        const members = nodeNames.slice(0, memberCount);
        for (const entry of place(members, current, copies)) {
          const holders = [entry.primary, ...entry.followers];
          expect(new Set(holders).size).toBe(Math.min(copies, memberCount));
          expect(members).toEqual(expect.arrayContaining(holders));
        }
      }),
    );
  });

  test('primaries differ by at most one between nodes, followers by at most two', () => {
    fc.assert(
      fc.property(memberCounts, anyPlacement, copyCounts, (memberCount, current, copies) => {
        const members = nodeNames.slice(0, memberCount);
        const target = place(members, current, copies);
        expect(spread(leads(members, target))).toBeLessThanOrEqual(1);
        expect(spread(follows(members, target))).toBeLessThanOrEqual(2);
      }),
    );
  });

  test('a placement that came out is left as it is', () => {
    fc.assert(
      fc.property(memberCounts, anyPlacement, copyCounts, (memberCount, current, copies) => {
        const members = nodeNames.slice(0, memberCount);
        const target = place(members, current, copies);
        const again = place(members, target, copies);
        expect(again.map((entry) => entry.primary)).toEqual(target.map((entry) => entry.primary));
        expect(copiesAdded(target, again)).toBe(0);
      }),
    );
  });

  test('a node that joins receives its share and nothing else moves', () => {
    fc.assert(
      fc.property(memberCounts, partitionCounts, copyCounts, (memberCount, partitions, copies) => {
        fc.pre(memberCount < nodeNames.length && memberCount >= copies);
        const before = place(nodeNames.slice(0, memberCount), empty(partitions), copies);
        const members = nodeNames.slice(0, memberCount + 1);
        const after = place(members, before, copies);
        const share = Math.floor((partitions * copies) / members.length);
        expect(copiesAdded(before, after)).toBe(share);
        const newcomer = members[memberCount];
        const received = after.filter((entry) =>
          [entry.primary, ...entry.followers].includes(newcomer),
        );
        expect(received.length).toBe(share);
      }),
    );
  });

  test('when a node leaves, its own copies are made anew and next to nothing else moves', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: nodeNames.length }),
        partitionCounts,
        copyCounts,
        (memberCount, partitions, copies) => {
          fc.pre(memberCount > copies);
          const members = nodeNames.slice(0, memberCount);
          const before = place(members, empty(partitions), copies);
          const leaver = members[memberCount - 1];
          const held = before.filter((entry) =>
            [entry.primary, ...entry.followers].includes(leaver),
          );
          const after = place(members.slice(0, -1), before, copies);
          expect(copiesAdded(before, after)).toBeGreaterThanOrEqual(held.length);
          expect(copiesAdded(before, after)).toBeLessThanOrEqual(held.length + memberCount);
        },
      ),
    );
  });

  test('64 partitions x 2 copies on three nodes: 21 or 22 led, 42 or 43 held by each', () => {
    const members = ['n1', 'n2', 'n3'];
    const founded = empty(64).map(() => ({ primary: 'n1', followers: [] }));
    const target = place(members, place(['n1', 'n2'], founded, 2), 2);
    expect(leads(members, target).toSorted((a, b) => a - b)).toEqual([21, 21, 22]);
    expect(spread(follows(members, target))).toBeLessThanOrEqual(1);
  });

  describe('several hosts', () => {
    const hostNames = fc.array(fc.constantFrom('x', 'y', 'z'), { minLength: 7, maxLength: 7 });

    /** Copies that share a host with another of their partition. */
    function crowded(members: string[], hosts: string[], placement: PlacementTarget[]): number {
      const hostOf = (node: string) => hosts[members.indexOf(node)];
      return placement.reduce((sum, { primary, followers }) => {
        const held = [primary, ...followers].map(hostOf);
        return sum + held.length - new Set(held).size;
      }, 0);
    }

    test('two machines of two nodes each: both have every partition', () => {
      const members = ['a', 'b', 'c', 'd'];
      const hosts = ['x', 'x', 'y', 'y'];
      expect(crowded(members, hosts, place(members, empty(64), 2, hosts))).toBe(0);
      const astray = empty(64).map(() => ({ primary: 'a', followers: ['b'] }));
      expect(crowded(members, hosts, place(members, astray, 2, hosts))).toBe(0);
      const paired = empty(64).map((_, i) =>
        i % 2 === 0 ? { primary: 'a', followers: ['b'] } : { primary: 'c', followers: ['d'] },
      );
      expect(crowded(members, hosts, place(members, paired, 2, hosts))).toBe(0);
    });

    test('they cost no balance, and what came out is left as it is', () => {
      fc.assert(
        fc.property(
          memberCounts,
          hostNames,
          anyPlacement,
          copyCounts,
          (memberCount, hosts, current, copies) => {
            const members = nodeNames.slice(0, memberCount);
            const named = hosts.slice(0, memberCount);
            const target = place(members, current, copies, named);
            for (const { primary, followers } of target) {
              expect(new Set([primary, ...followers]).size).toBe(Math.min(copies, memberCount));
            }
            expect(spread(leads(members, target))).toBeLessThanOrEqual(1);
            expect(spread(follows(members, target))).toBeLessThanOrEqual(2);
            const again = place(members, target, copies, named);
            expect(again.map(({ primary }) => primary)).toEqual(
              target.map(({ primary }) => primary),
            );
            expect(copiesAdded(target, again)).toBe(0);
          },
        ),
      );
    });
  });
});
