import { describe, expect, test } from 'vitest';
import {
  capacityBounds,
  type GeometryRequest,
  planGeometry,
  StoreError,
  withCapacity,
} from './index.ts';

const MIB = 1 << 20;
const GIB = 1 << 30;

function refusal(request: GeometryRequest): StoreError {
  try {
    planGeometry(request);
  } catch (error) {
    if (error instanceof StoreError) return error;
  }
  throw new Error('a geometry was expected to be refused');
}

describe('store: geometry', () => {
  test('1 GiB in 64 partitions: images laid out for eight times 16 MiB', () => {
    expect(planGeometry({ partitions: 64, capacityBytes: GIB })).toEqual({
      format: 3,
      partitions: 64,
      imageBytes: 128 * MIB,
      chunkCount: 2_048,
      capacityChunks: 256,
      ringBytes: 2 * MIB,
      valueMaxBytes: MIB,
    });
  });

  test('what is given wins over what follows from the capacity', () => {
    const geometry = planGeometry({
      partitions: 4,
      capacityBytes: GIB,
      capacityMaxBytes: 2 * GIB,
      valueMaxBytes: 3 * MIB,
    });
    expect(geometry).toMatchObject({ imageBytes: 512 * MIB, valueMaxBytes: 3 * MIB });
    expect(geometry.ringBytes).toBe(8 * MIB);
  });

  test('images end at 2 GiB, rings at 64 MiB, and both are as large as they may be', () => {
    const geometry = planGeometry({ partitions: 1, capacityBytes: 2 * GIB });
    expect(geometry).toMatchObject({
      imageBytes: 2 * GIB,
      chunkCount: 32_768,
      ringBytes: 64 * MIB,
    });
  });

  test('a capacity that is no multiple of chunks is rounded down to whole ones', () => {
    const geometry = planGeometry({ partitions: 1, capacityBytes: 8 * MIB + 70_000 });
    expect(geometry.capacityChunks).toBe(129);
    expect(geometry.imageBytes % 65_536).toBe(0);
  });

  test('images under 8 MiB are refused, and the largest number of partitions that fits is named', () => {
    const { code, message } = refusal({ partitions: 64, capacityBytes: 256 * MIB });
    expect(code).toBe('IMAGE_TOO_SMALL');
    expect(message).toContain('256.0 MiB / 64 partitions = 4.0 MiB each');
    expect(message).toContain('--partitions 32');
  });

  test('a capacity that fits no partition at all is told the least one', () => {
    expect(refusal({ partitions: 1, capacityBytes: 4 * MIB }).message).toContain(
      'the least --capacity is 8.0 MiB',
    );
  });

  test('images over 2 GiB are refused with the numbers', () => {
    const { code, message } = refusal({ partitions: 2, capacityBytes: 5 * GIB });
    expect(code).toBe('IMAGE_TOO_LARGE');
    expect(message).toContain('2560.0 MiB each');
  });

  test.each([0, -1, 0.5, 3, 48, 8_192, Number.NaN, Number.POSITIVE_INFINITY])(
    '%d partitions are refused',
    (partitions) => {
      expect(refusal({ partitions, capacityBytes: GIB }).code).toBe('PARTITIONS_INVALID');
    },
  );

  test('the capacity may be set between what partitions need and what their images hold', () => {
    const roomy = planGeometry({ partitions: 4, capacityBytes: 64 * MIB });
    expect(capacityBounds(roomy)).toEqual({ leastBytes: 32 * MIB, mostBytes: 512 * MIB });
    const valueMaxBytes = 4 * MIB;
    const large = planGeometry({ partitions: 4, capacityBytes: 64 * MIB, valueMaxBytes });
    expect(capacityBounds(large).leastBytes).toBe(64 * MIB);
    expect(withCapacity(roomy, 128 * MIB)).toEqual({ ...roomy, capacityChunks: 512 });
    expect(withCapacity(roomy, 4_096 * MIB).capacityChunks).toBe(roomy.chunkCount);
  });

  test('a capacity that is no number is refused', () => {
    expect(refusal({ partitions: 1, capacityBytes: Number.NaN }).code).toBe('IMAGE_TOO_SMALL');
  });

  test.each([MIB - 1, 5 * MIB])(
    'a largest value of %d bytes does not suit 16 MiB',
    (valueMaxBytes) => {
      const request = { partitions: 1, capacityBytes: 16 * MIB, valueMaxBytes };
      expect(refusal(request).code).toBe('VALUE_MAX_INVALID');
    },
  );
});
