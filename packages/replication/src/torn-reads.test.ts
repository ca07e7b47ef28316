import { Worker } from 'node:worker_threads';
import {
  attachPartition,
  createPartition,
  planGeometry,
  type PartitionHandle,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { describe, expect, test } from 'vitest';
import { Random } from './random.fixture.ts';
import type { TornReadsReport, TornReadsTask } from './torn-reads.fixture.ts';
import { Wire } from './wire.fixture.ts';

const EPOCH = 1;
const READERS = 2;
const LINKS = 120;
/** Enough for a reader to meet the follower at work, if anything lets it. */
const LINKS_UNTIL_TORN_MAX = 1_000;
const SETTLE_STEPS_MAX = 1_000_000;

const capacityBytes = 8 * 1_048_576;
const planned = planGeometry({ partitions: 1, capacityBytes, capacityMaxBytes: capacityBytes });
/** A ring that some forty transactions fill: bulks are as frequent as redo. */
const geometry = { ...planned, ringBytes: 524_288 };

interface Memory {
  readonly primary: PartitionHandle;
  readonly copy: PartitionHandle;
}

function newMemory(): Memory {
  const memory = { primary: createPartition(geometry, 0), copy: createPartition(geometry, 0) };
  attachPartition(memory.primary).promote(EPOCH, 1);
  attachPartition(memory.copy).setRole(ROLE_FOLLOWER, EPOCH);
  return memory;
}

/** Runs all threads until the replicating one has made its connections, or a reader stops them. */
async function run(
  memory: Memory,
  { honest, links }: { honest: boolean; links: number },
): Promise<Record<'writer' | 'replicator', TornReadsReport> & { readers: TornReadsReport[] }> {
  const control = new Int32Array(new SharedArrayBuffer(4));
  const start = (kind: TornReadsTask['kind'], seed: number): Promise<TornReadsReport> => {
    const workerData: TornReadsTask = {
      ...{ ...memory, kind, seed, honest, links, epoch: EPOCH, control },
    };
    const worker = new Worker(new URL('torn-reads.fixture.ts', import.meta.url), {
      workerData,
      execArgv: ['--conditions=source'],
    });
    return new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', (error) => {
        Atomics.store(control, 0, 1);
        reject(error);
      });
    });
  };
  const readers = Array.from({ length: READERS }, (_, i) => start('read', i));
  const [writer, replicator, ...read] = await Promise.all([
    start('write', 1),
    start('replicate', 2),
    ...readers,
  ]);
  return { writer, replicator, readers: read };
}

const sum = (reports: readonly TornReadsReport[], field: keyof TornReadsReport): number =>
  reports.reduce((total, report) => total + Number(report[field]), 0);

describe('replication: reads of a copy that is being written, on real threads', () => {
  test('no torn value, no half of a transaction, nothing goes back: by redo and by bulk', async () => {
    const memory = newMemory();
    const { writer, replicator, readers } = await run(memory, { honest: true, links: LINKS });
    expect(sum(readers, 'torn')).toBe(0);
    expect(sum(readers, 'halves')).toBe(0);
    expect(sum(readers, 'backwards')).toBe(0);
    // Everybody was there, and met.
    expect(writer.transactions).toBeGreaterThan(0);
    expect(sum(readers, 'reads')).toBeGreaterThan(0);
    expect(sum(readers, 'retried')).toBeGreaterThan(0);
    const bulks = replicator.events.filter((event) => event === 'BEGIN').length;
    const streams = replicator.events.filter((event) => event.startsWith('syncStarted: stream'));
    expect(bulks).toBeGreaterThan(2);
    expect(streams.length).toBeGreaterThan(0);
    settle(memory);
  });

  test('control: a reader that does not look at the gate again reads torn values', async () => {
    const { readers } = await run(newMemory(), { honest: false, links: LINKS_UNTIL_TORN_MAX });
    expect(sum(readers, 'torn')).toBeGreaterThan(0);
  });
});

/** With nobody writing, the copy becomes equal byte for byte. */
function settle(memory: Memory): void {
  const primary = attachPartition(memory.primary);
  const copy = attachPartition(memory.copy);
  const wire = new Wire({ primary, copy, epoch: EPOCH }, new Random(3));
  let steps = 0;
  while (!copy.checked() || copy.stats().seq !== primary.stats().seq) {
    if (++steps > SETTLE_STEPS_MAX) throw new Error(`never settled: ${String(wire.dropped)}`);
    wire.step(steps);
  }
  expect(copy.imageBuffer.equals(primary.imageBuffer)).toBe(true);
  expect(copy.verify()).toBeNull();
}
