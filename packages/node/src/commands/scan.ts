/** SCAN and KEYS: walks over the index, bucket by bucket.
 *
 *  A cursor is partition x 2^32 + bucket. Records only ever move to higher buckets of their
 *  partition, so a walk in ascending order returns every key that was there all along, through
 *  growth and through moves of partitions between nodes; a key may come twice.
 *  On the client port a cursor runs over the partitions of the whole cluster, and each call goes to
 *  the node that leads its partition. INGOT.SCAN is that call between nodes: SCAN with cluster-wide
 *  cursors on a cluster port, whose own SCAN covers the partitions led there and no others. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import {
  CURSOR_PARTITION_FACTOR,
  type Execution,
  type WorkerContext,
} from '../serving/execution.ts';
import { INVALID_CURSOR, NOT_AN_INTEGER, NOT_LED_HERE, SYNTAX_ERROR } from './errors.ts';
import { globMatches } from './glob.ts';
import { KeyList } from './key-list.ts';
import { everyKey, type KeyFilter, KeyWalk, partitionsLed } from './key-walk.ts';
import { type CommandRow, command } from './row.ts';

const COUNT_DEFAULT = 10;
/** Steps of one call: a walk over empty buckets is bounded too, but need not come back for each. */
const STEPS_PER_CALL_MIN = 8192;
const STEPS_PER_KEY = 10;

const keys = new KeyList();

interface ScanOptions {
  count: number;
  keeps: KeyFilter;
}

const noKey: KeyFilter = () => false;

function matching(args: Args, patternAt: number): KeyFilter {
  const pattern = args.copy(patternAt);
  return (image, start, bytes) => globMatches(pattern, image, start, bytes);
}

/** MATCH pattern, COUNT n, TYPE type, in any order; a string is the error reply. */
function parseOptions(args: Args): ScanOptions | string {
  const options: ScanOptions = { count: COUNT_DEFAULT, keeps: everyKey };
  let typeExists = true;
  for (let i = 2; i < args.count; i += 2) {
    if (i + 1 === args.count) return SYNTAX_ERROR;
    if (args.is(i, 'COUNT')) {
      options.count = args.integer(i + 1);
      if (Number.isNaN(options.count)) return NOT_AN_INTEGER;
      if (options.count < 1) return SYNTAX_ERROR;
    } else if (args.is(i, 'MATCH')) {
      options.keeps = matching(args, i + 1);
    } else if (args.is(i, 'TYPE')) {
      typeExists = args.is(i + 1, 'STRING');
    } else {
      return SYNTAX_ERROR;
    }
  }
  if (!typeExists) options.keeps = noKey;
  return options;
}

/** Walks buckets from the cursor on until it has seen enough keys, or enough buckets.
 *  `wholeCluster`: the walk ends at the first partition that another node leads, and the cursor
 *  takes the next call there; otherwise such partitions are passed over. */
function scan(execution: Execution, args: Args, wholeCluster: boolean, out: ReplyWriter): void {
  const start = args.integer(1);
  if (!(start >= 0)) return out.error(INVALID_CURSOR);
  const options = parseOptions(args);
  if (typeof options === 'string') return out.error(options);
  const { worker } = execution;
  if (wholeCluster && isElsewhere(worker, start)) return out.error(NOT_LED_HERE);

  const walk = new KeyWalk(keys, execution.nowMs, options.keeps);
  const mustStop = wholeCluster ? isElsewhere : () => false;
  let cursor = start;
  let steps = Math.max(STEPS_PER_CALL_MIN, options.count * STEPS_PER_KEY);
  do cursor = step(worker, walk, cursor);
  while (cursor !== 0 && walk.visited < options.count && --steps > 0 && !mustStop(worker, cursor));
  out.array(2);
  out.bulkText(String(cursor));
  keys.writeAndClear(out);
}

/** Walks one bucket, or passes over a partition that is not led here. Returns the next cursor. */
function step(worker: WorkerContext, walk: KeyWalk, cursor: number): number {
  const partitionId = partitionOf(cursor);
  const partition = worker.partitions[partitionId] ?? null;
  if (partition !== null && worker.leads(partitionId)) {
    const next = walk.bucket(partition, cursor % CURSOR_PARTITION_FACTOR);
    if (next !== 0) return partitionId * CURSOR_PARTITION_FACTOR + next;
  }
  const following = partitionId + 1;
  return following < worker.map.partitions ? following * CURSOR_PARTITION_FACTOR : 0;
}

function partitionOf(cursor: number): number {
  return Math.floor(cursor / CURSOR_PARTITION_FACTOR);
}

function isElsewhere(worker: WorkerContext, cursor: number): boolean {
  const partitionId = partitionOf(cursor);
  return partitionId < worker.map.partitions && !worker.leads(partitionId);
}

/** KEYS pattern, over the partitions led here. */
function listKeys(execution: Execution, args: Args, out: ReplyWriter): void {
  const walk = new KeyWalk(keys, execution.nowMs, matching(args, 1));
  for (const partition of partitionsLed(execution.worker)) walk.all(partition);
  keys.writeAndClear(out);
}

export const SCAN_COMMANDS: readonly CommandRow[] = [
  command({
    name: 'scan',
    arity: -2,
    kind: 'keyspace',
    flags: ['readonly'],
    group: 'generic',
    combine: 'cursor',
    summary: 'Walks over the keys, some per call.',
    run: (execution, args, out) => scan(execution, args, execution.wholeCluster, out),
  }),
  command({
    name: 'ingot.scan',
    arity: -2,
    kind: 'keyspace',
    flags: ['readonly'],
    group: 'generic',
    combine: 'cursor',
    summary: 'SCAN between nodes: its cursors run over the whole cluster.',
    run: (execution, args, out) => scan(execution, args, true, out),
  }),
  command({
    name: 'keys',
    arity: 2,
    kind: 'keyspace',
    flags: ['readonly'],
    group: 'generic',
    combine: 'concat',
    dangerous: true,
    summary: 'Returns all keys that match a pattern.',
    run: listKeys,
  }),
];
