import { describe, expect, test } from 'vitest';
import {
  type Budget,
  createPartition,
  IMAGE_LINES,
  planGeometry,
  PartitionMap,
  SCRATCH_LINES,
  sumOfBudgets,
  attachPartition,
  CHUNK_BYTES,
} from './index.ts';
import { PAGE_BYTES } from './layout.ts';
import { bytesOf, flush, newPrimary, SMALL, sweepAll } from './pair.fixture.ts';

const sumOf = (budget: Budget, lines: readonly (keyof Budget)[]): number =>
  lines.reduce((sum, line) => sum + budget[line], 0);

function expectToAddUp(budget: Budget): void {
  expect(sumOf(budget, IMAGE_LINES)).toBe(budget.imageBytes);
  expect(sumOf(budget, SCRATCH_LINES)).toBe(budget.scratchBytes);
  expect(Object.values(budget).every((bytes) => bytes >= 0)).toBe(true);
}

describe('store: the budget', () => {
  test('has a line for each byte of image and scratch, whatever happened to the partition', () => {
    const handle = createPartition(SMALL, 0);
    const partition = attachPartition(handle);
    partition.promote(1, 1);
    const map = new PartitionMap(partition);
    expectToAddUp(partition.budget());
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 4_000; i++) {
        const expiresAtMs = i % 3 === 0 ? 100 : 0;
        map.set(bytesOf(`k${i}`), Buffer.alloc((i * 7_919) % (300 << round)), 1, { expiresAtMs });
      }
      expectToAddUp(partition.budget());
      sweepAll(partition, 200);
      expectToAddUp(partition.budget());
    }
    flush(partition, 300);
    sweepAll(partition, 300);
    const empty = partition.budget();
    expectToAddUp(empty);
    expect(empty).toMatchObject({ records: 0, rounding: 0, freeSlots: 0, extents: 0 });
    expect(empty.imageBytes).toBe(partition.chunksTouched() * CHUNK_BYTES);
    expect(empty.scratchBytes).toBe(handle.scratch.byteLength);
  });

  test('tells records from what is rounded up, once swept', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    for (let i = 0; i < 1_000; i++) map.set(bytesOf(String(10_000 + i)), Buffer.alloc(72), 1);
    expect(primary.budget()).toMatchObject({ records: 1_000 * 104, rounding: 0 });
    sweepAll(primary, 1);
    expect(primary.budget()).toMatchObject({ records: 1_000 * 101, rounding: 1_000 * 3 });
    const [units, slots] = [Math.ceil(1_000 / 78), 78];
    expect(primary.budget().freeSlots).toBe((units * slots - 1_000) * 104);
    expect(primary.budget().tails).toBe(units * (PAGE_BYTES - slots * 104));
    expect(primary.budget().freeUnits).toBe(2 * CHUNK_BYTES - units * PAGE_BYTES);
  });

  test('of a node is the sum of its partitions, line by line', () => {
    const geometry = planGeometry({ partitions: 2, capacityBytes: 16 << 20 });
    const budgets = [0, 1].map((id) => attachPartition(createPartition(geometry, id)).budget());
    const sum = sumOfBudgets(budgets);
    expectToAddUp(sum);
    expect(sum.scratchBytes).toBe(2 * budgets[0].scratchBytes);
    expect(sumOfBudgets([]).imageBytes).toBe(0);
  });
});
