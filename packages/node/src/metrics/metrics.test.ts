import { createHubCounters, createRefusalCounts } from '@ingot/replication';
import { sumOfBudgets } from '@ingot/store';
import { describe, expect, test } from 'vitest';
import { Counter, createCounters, LATENCY_BOUNDS_SECONDS, WorkerCounters } from './layout.ts';
import { NO_FAILOVERS } from '../control/failover-log.ts';
import { plainEntry, plainMap } from '../shared/map.fixture.ts';
import { createMetrics } from './metrics.ts';
import type { MetricSources, PartitionSample } from './sources.ts';

const COMMANDS = ['get', 'set', 'del'];
const GET = 0;
const SET = 1;

const led: PartitionSample = {
  role: 'primary',
  consistent: true,
  checked: true,
  keys: 5,
  usedBytes: 3 * 65_536,
  capacityBytes: 10 * 65_536,
  evictions: 2,
  expiries: 1,
  moves: 4,
  drains: 1,
  pins: 3,
  oldestPinMs: 1_500,
};

function sourcesOf(overrides: Partial<MetricSources> = {}): MetricSources {
  return {
    commands: COMMANDS,
    counters: [new WorkerCounters(createCounters()), new WorkerCounters(createCounters())],
    map: () =>
      plainMap({
        version: 4,
        placement: [plainEntry(null, [], { lost: true, lossy: true })],
      }),
    partitions: () => [
      led,
      { ...led, role: 'follower', keys: 7 },
      { ...led, role: 'follower', checked: false, consistent: false },
    ],
    gone: () => ({ evictions: 10, expiries: 20, moves: 30, drains: 40 }),
    budget: () => ({ ...sumOfBudgets([]), records: 77, freeSlots: 5, ring: 9 }),
    inSync: () => ({ node: 'n1', changes: { added: 3, removed: 1 } }),
    replication: () => ({
      partitions: [],
      counters: {
        ...createHubCounters(),
        peersRefused: { ...createRefusalCounts(), otherSecret: 2 },
      },
      bulks: { running: 4, waiting: 60 },
      scrub: {
        everyMs: 3_600_000,
        rounds: 3,
        chunksDone: 5,
        chunksTotal: 9,
        lastRoundMs: 1_500,
        lastRoundSkipped: 0,
      },
    }),
    controlRefusals: () => ({ ...createRefusalCounts(), otherSecret: 1, timeout: 5 }),
    failovers: () => ({ ...NO_FAILOVERS, silent: { buckets: [0, 2, 1], sum: 1.5 } }),
    lease: () => ({ remainingMs: 1_500, fences: 2, lives: 3 }),
    redoLog: () => null,
    checkpoints: () => ({
      ...{ saves: 7, failures: 1, chunks: 20, bytes: 1_310_720, seconds: 0.5 },
      ...{ failing: 1, partitions: 2, oldestSavedAtMs: 0 },
    }),
    threads: () => [{ worker: 'data-0', utilization: 0.25 }],
    ...overrides,
  };
}

async function valueOf(sources: MetricSources, series: string): Promise<number> {
  const lines = (await createMetrics(sources).metrics()).split('\n');
  const line = lines.find((candidate) => candidate.startsWith(`${series} `));
  expect(line, `a line that starts with ${series}`).toBeDefined();
  return Number(line?.slice(series.length + 1));
}

describe('metrics', () => {
  test('pins of all copies are summed, and the oldest is told', async () => {
    expect(await valueOf(sourcesOf(), 'ingot_pins')).toBe(9);
    expect(await valueOf(sourcesOf(), 'ingot_pin_oldest_seconds')).toBe(1.5);
    expect(await valueOf(sourcesOf({ partitions: () => [] }), 'ingot_pin_oldest_seconds')).toBe(0);
  });

  test('every worker counts for itself; a scrape sums them exactly', async () => {
    const sources = sourcesOf();
    const [first, second] = sources.counters;
    for (let i = 0; i < 7_001; i++) first?.command(SET, 1, 0.000_004);
    second?.command(SET, 2_999, 0.000_02);
    second?.command(GET, 1, 0.5);
    expect(await valueOf(sources, 'ingot_commands_total{command="set"}')).toBe(10_000);
    expect(await valueOf(sources, 'ingot_commands_total{command="get"}')).toBe(1);
    expect(await valueOf(sources, 'ingot_commands_total{command="del"}')).toBe(0);
  });

  test('leases: what is left of the one here, and whose have ended', async () => {
    expect(await valueOf(sourcesOf(), 'ingot_lease_remaining_seconds')).toBe(1.5);
    expect(await valueOf(sourcesOf(), 'ingot_fences_total')).toBe(2);
    expect(await valueOf(sourcesOf(), 'ingot_lives_total')).toBe(3);
  });

  test('scraping twice does not add up', async () => {
    const sources = sourcesOf();
    sources.counters[0]?.command(SET, 5, 0.001);
    const registry = createMetrics(sources);
    await registry.metrics();
    expect(await registry.metrics()).toContain('ingot_commands_total{command="set"} 5\n');
  });

  test('the histogram is cumulative, and its count is the number of calls', async () => {
    const sources = sourcesOf();
    const [first, second] = sources.counters;
    first?.command(SET, 3, 0.000_001);
    second?.command(SET, 2, 0.000_3);
    second?.command(SET, 1, 60);
    const bucket = (le: string) =>
      valueOf(sources, `ingot_command_seconds_bucket{command="set",le="${le}"}`);
    expect(await bucket('0.000001')).toBe(3);
    expect(await bucket('0.00025')).toBe(3);
    expect(await bucket('0.0005')).toBe(5);
    expect(await bucket('1')).toBe(5);
    expect(await bucket('+Inf')).toBe(6);
    expect(await valueOf(sources, 'ingot_command_seconds_count{command="set"}')).toBe(6);
    expect(await valueOf(sources, 'ingot_command_seconds_sum{command="set"}')).toBeCloseTo(60.0006);
  });

  test('a call on a bound belongs to that bucket', () => {
    const counters = new WorkerCounters(createCounters());
    for (const bound of LATENCY_BOUNDS_SECONDS) counters.command(GET, 1, bound);
    for (const bucket of LATENCY_BOUNDS_SECONDS.keys()) {
      expect(counters.bucket(GET, bucket)).toBe(1);
    }
  });

  test('keys are those led here; memory is told apart by role', async () => {
    expect(await valueOf(sourcesOf(), 'ingot_keys')).toBe(5);
    expect(await valueOf(sourcesOf(), 'ingot_used_bytes{role="primary"}')).toBe(196_608);
    expect(await valueOf(sourcesOf(), 'ingot_used_bytes{role="follower"}')).toBe(2 * 196_608);
  });

  test('each line of the budget has its series', async () => {
    const value = (labels: string) => valueOf(sourcesOf(), `ingot_memory_bytes{${labels}}`);
    expect(await value('memory="image",line="records"')).toBe(77);
    expect(await value('memory="image",line="free_slots"')).toBe(5);
    expect(await value('memory="scratch",line="ring"')).toBe(9);
  });

  test('counters of copies that are gone still count', async () => {
    expect(await valueOf(sourcesOf(), 'ingot_moved_records_total')).toBe(42);
    expect(await valueOf(sourcesOf(), 'ingot_drained_chunks_total')).toBe(43);
    expect(await valueOf(sourcesOf(), 'ingot_evictions_total')).toBe(16);
    expect(await valueOf(sourcesOf(), 'ingot_expiries_total')).toBe(23);
  });

  test('lag is the sum of mutations and the worst of seconds, by peer', async () => {
    const follower = {
      node: 'n2',
      state: 'streaming' as const,
      ackedSeq: 1,
      sync: null,
      source: null,
      incarnation: 1,
      leaving: false,
      stalled: false,
    };
    const partition = {
      id: 0,
      role: 1,
      epoch: 1,
      seq: 9,
      consistent: true,
      checked: true,
      feeds: [],
    };
    const status = sourcesOf().replication();
    const sources = sourcesOf({
      replication: () => ({
        ...status,
        partitions: [
          { ...partition, followers: [{ ...follower, lagSeq: 5, lagSeconds: 0.5 }] },
          { ...partition, id: 1, followers: [{ ...follower, lagSeq: 2, lagSeconds: 1.5 }] },
        ],
      }),
    });
    expect(await valueOf(sources, 'ingot_replication_lag_seqs{peer="n2"}')).toBe(7);
    expect(await valueOf(sources, 'ingot_replication_lag_seconds{peer="n2"}')).toBe(1.5);
  });

  test('comparing copies: what was compared, what differed, what became of it', async () => {
    const status = sourcesOf().replication();
    const compared = { checks: 900, checksFailed: 4, repairs: 3, repairsRefused: 1 };
    const counters = { ...status.counters, ...compared, scrubChunks: 800 };
    const sources = sourcesOf({ replication: () => ({ ...status, counters }) });
    expect(await valueOf(sources, 'ingot_checks_total')).toBe(900);
    expect(await valueOf(sources, 'ingot_check_differences_total')).toBe(4);
    expect(await valueOf(sources, 'ingot_checks_failed_total')).toBe(4);
    expect(await valueOf(sources, 'ingot_repairs_total')).toBe(3);
    expect(await valueOf(sources, 'ingot_repairs_refused_total')).toBe(1);
    expect(await valueOf(sources, 'ingot_scrub_chunks_total')).toBe(800);
    expect(await valueOf(sources, 'ingot_scrub_last_round_seconds')).toBe(1.5);
  });

  test('syncs are told apart by kind and reason; bulks are those of this moment', async () => {
    const sources = sourcesOf();
    const status = sources.replication();
    status.counters.syncs['the copy is empty'] = 3;
    status.counters.syncs['the ring has moved past the copy'] = 2;
    status.counters.syncBytes['catch-up'] = 65_536;
    const read = (series: string) => valueOf({ ...sources, replication: () => status }, series);
    expect(await read('ingot_syncs_total{kind="full",reason="empty"}')).toBe(3);
    expect(await read('ingot_syncs_total{kind="catch-up",reason="ring-passed"}')).toBe(2);
    expect(await read('ingot_syncs_total{kind="rewind",reason="lost-primary"}')).toBe(0);
    expect(await read('ingot_sync_bytes_total{kind="catch-up"}')).toBe(65_536);
    expect(await read('ingot_bulks_running')).toBe(4);
    expect(await read('ingot_bulks_waiting')).toBe(60);
  });

  test('refused peers are counted by reason, those of both kinds of connection together', async () => {
    const count = (reason: string): Promise<number> =>
      valueOf(sourcesOf(), `ingot_peers_refused_total{reason="${reason}"}`);
    expect([await count('otherSecret'), await count('timeout')]).toEqual([3, 5]);
    expect(await count('noSecret')).toBe(0);
  });

  test('states say how many copies may be promoted', async () => {
    expect(await valueOf(sourcesOf(), 'ingot_partition_states{state="primary"}')).toBe(1);
    expect(await valueOf(sourcesOf(), 'ingot_partition_states{state="following"}')).toBe(1);
    expect(await valueOf(sourcesOf(), 'ingot_partition_states{state="syncing"}')).toBe(1);
    expect(await valueOf(sourcesOf(), 'ingot_partitions_lost')).toBe(1);
  });

  test('failovers that this node has led, and what the map says came of them', async () => {
    const read = (series: string) => valueOf(sourcesOf(), series);
    expect(await read('ingot_failovers_total{cause="silent"}')).toBe(3);
    expect(await read('ingot_failovers_total{cause="restarted"}')).toBe(0);
    expect(await read('ingot_failover_seconds_sum{cause="silent"}')).toBe(1.5);
    expect(await read('ingot_partitions_lossy')).toBe(1);
    expect(await read('ingot_partitions_without_primary')).toBe(1);
  });

  test('all rows of the layout that clients cause are exported', async () => {
    const sources = sourcesOf();
    for (const row of Object.values(Counter)) sources.counters[1]?.add(row, 100 + row);
    expect(await valueOf(sources, 'ingot_forwarded_total')).toBe(100 + Counter.forwarded);
    expect(await valueOf(sources, 'ingot_follower_reads_total')).toBe(100 + Counter.followerReads);
    expect(await valueOf(sources, 'ingot_connections')).toBe(100 + Counter.connections);
    expect(await valueOf(sources, 'ingot_network_sent_bytes_total')).toBe(100 + Counter.sentBytes);
  });
});
