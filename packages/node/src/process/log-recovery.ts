/** What the redo log adds to the copies that were read from checkpoints, before the node joins its cluster.
 *
 *  Owner: the main thread; threads of their own read, each some partitions.
 *  Invariant: a log that is not known to be damaged stays as it is, and the node does not start without it; a damaged
 *  one is set aside, and the copies stay as the checkpoints left them. */
import { Worker } from 'node:worker_threads';
import type { EvictionPolicy, PartitionHandle } from '@ingot/store';
import { hasLog, logPath, setLogAside } from '../redo-log/lmdb-log-store.ts';
import type { LogOwner } from '../redo-log/log-group.ts';
import type { LogEnd } from '../redo-log/log-replay.ts';
import type { LogStart } from '../redo-log/log-writer.ts';
import { geometryOf } from '../shared/capacity.ts';
import { type IngotError, refusal } from '../shared/errors.ts';
import { type ClusterMap, copiesOn } from '../shared/map.ts';
import type { Settings } from '../shared/settings.ts';
import type { NodeLog } from './log.ts';
import { type MemoryLimit, memoryRefusal } from './memory.ts';

/** workerData of a loading thread. */
export interface LogLoaderData {
  readonly path: string;
  readonly owner: LogOwner;
  readonly eviction: EvictionPolicy;
  /** Copies that were loaded, of these partitions. */
  readonly handles: readonly PartitionHandle[];
  readonly partitions: readonly number[];
}

export type FromLogLoader =
  | { readonly kind: 'progress'; readonly bytes: number }
  | { readonly kind: 'end'; readonly end: LogEnd }
  | {
      readonly kind: 'failed';
      readonly isDamage: boolean;
      readonly isForeign: boolean;
      readonly why: string;
    }
  | {
      readonly kind: 'copy';
      readonly handle: PartitionHandle;
      readonly seq: number;
      readonly landings: number;
      /** Mutations that the log added. */
      readonly applied: number;
      readonly gap: string | null;
      readonly broken: string | null;
    };

type CopyMessage = Extract<FromLogLoader, { kind: 'copy' }>;

export interface LogRecovered {
  readonly handles: readonly PartitionHandle[];
  readonly start: LogStart;
}

/** There is none. */
export const NO_LOG: LogStart = { cutAt: null, bytes: 0, copies: [] };

export interface LogRecoveryOptions {
  readonly settings: Pick<Settings, 'dataDir' | 'id' | 'workers'>;
  readonly map: ClusterMap;
  readonly handles: readonly PartitionHandle[];
  readonly limit: MemoryLimit;
  readonly log: NodeLog;
  /** The node is told to end meanwhile. */
  readonly signal: AbortSignal;
}

/** Rejects where the node is told to end meanwhile, and with an IngotError where the log may be sound and is not read. */
export async function recoverLog(options: LogRecoveryOptions): Promise<LogRecovered> {
  const { settings, log, handles, signal } = options;
  const { dataDir } = settings;
  if (!hasLog(dataDir)) return nothingOf(handles);
  try {
    return await replayed(options);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof LogFailure)) throw error;
    const why = error.message;
    if (!error.isDamage) throw notRead(logPath(dataDir), why, error.isForeign);
    setAside(dataDir, `is damaged (${why})`, log);
    return nothingOf(handles);
  }
}

/** A node that founds a cluster, or has never seen a map of one, has no part in a log that is in its data dir: what it
 *  writes is not to follow that. */
export function setForeignLogAside(dataDir: string, log: NodeLog): void {
  if (hasLog(dataDir)) setAside(dataDir, 'was there before this node was in its cluster', log);
}

function nothingOf(handles: readonly PartitionHandle[]): LogRecovered {
  return { handles, start: NO_LOG };
}

function setAside(dataDir: string, why: string, log: NodeLog): void {
  const path = logPath(dataDir);
  try {
    const aside = setLogAside(dataDir);
    const text = `the redo log ${path} ${why}; it is kept as ${aside}, and another begins`;
    log('error', 'log.refused', { why, text });
  } catch (error) {
    throw notRead(path, `it ${why}, and cannot be renamed: ${(error as Error).message}`, false);
  }
}

function notRead(path: string, why: string, isForeign: boolean): IngotError {
  const cure = isForeign
    ? 'start what wrote it'
    : 'start again when that has passed, nothing of it has changed';
  return refusal(
    'REDO_LOG',
    `the redo log ${path} is not read (${why}); ${cure}, ` +
      'or move the file away to go on without the writes that only it has',
  );
}

/** Why a thread has not read the log. */
class LogFailure extends Error {
  readonly isDamage: boolean;
  readonly isForeign: boolean;

  constructor(why: string, isDamage: boolean, isForeign: boolean) {
    super(why);
    this.isDamage = isDamage;
    this.isForeign = isForeign;
  }
}

async function replayed(options: LogRecoveryOptions): Promise<LogRecovered> {
  const { settings, map, handles, limit, log, signal } = options;
  const geometry = geometryOf(map);
  const known = new Set([...handles.map(({ id }) => id), ...copiesOn(map, settings.id)]);
  const partitions = [...known].toSorted((a, b) => a - b);
  const short = memoryRefusal(geometry, partitions.length, limit);
  if (short !== null) throw short;
  const beganMs = performance.now();
  const threads = Math.max(1, Math.min(settings.workers, partitions.length));
  const threadsData = Array.from({ length: threads }, (_, thread): LogLoaderData => {
    const mine = partitions.filter((_id, i) => i % threads === thread);
    return {
      path: logPath(settings.dataDir),
      owner: { clusterId: map.clusterId, node: settings.id, geometry },
      eviction: map.eviction,
      handles: handles.filter(({ id }) => mine.includes(id)),
      partitions: mine,
    };
  });
  const results = await runThreads(threadsData, signal);
  const { end } = results[0];
  const copies = results.flatMap((result) => result.copies);
  for (const copy of copies) tellGap(copy, log);
  const sound = copies.filter(({ broken, seq }) => broken === null && seq > 0);
  if (end.cut !== null) {
    const { at, why } = end.cut;
    const text = `the redo log ends before its group ${at} (${why}); what came behind it is left out`;
    log('warn', 'log.cut', { group: at, why, text });
  }
  log('info', 'log.replayed', {
    ...{ groups: end.groups, bytes: end.bytes, partitions: sound.length },
    mutations: sound.reduce((sum, { applied }) => sum + applied, 0),
    seconds: Number(((performance.now() - beganMs) / 1_000).toFixed(2)),
  });
  return {
    handles: sound.map(({ handle }) => handle),
    start: {
      cutAt: end.cut?.at ?? null,
      bytes: end.bytes,
      copies: sound.map(({ handle, seq, landings }) => ({ partition: handle.id, seq, landings })),
    },
  };
}

function tellGap({ handle, gap, broken }: CopyMessage, log: NodeLog): void {
  const partition = handle.id;
  if (broken !== null) {
    const text = `the redo log of partition ${partition} makes a copy that is not sound (${broken}); it begins without`;
    log('error', 'log.broken', { partition, why: broken, text });
  } else if (gap !== null) {
    const text = `the redo log of partition ${partition} is used up to a gap: ${gap}`;
    log('warn', 'log.gap', { partition, why: gap, text });
  }
}

interface ThreadResult {
  readonly copies: readonly CopyMessage[];
  readonly end: LogEnd;
}

/** Where one of them fails, or the node is told to end, all of them have ended when this rejects. */
async function runThreads(
  all: readonly LogLoaderData[],
  signal: AbortSignal,
): Promise<ThreadResult[]> {
  const failed = new AbortController();
  const stopped = AbortSignal.any([signal, failed.signal]);
  const runs = all.map(async (data) => {
    try {
      return await runThread(data, stopped);
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  });
  await Promise.allSettled(runs);
  signal.throwIfAborted();
  failed.signal.throwIfAborted();
  return await Promise.all(runs);
}

/** Settles when the thread has ended, however it ended. */
function runThread(data: LogLoaderData, signal: AbortSignal): Promise<ThreadResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ThreadResult>();
  const copies: CopyMessage[] = [];
  let end: LogEnd | null = null;
  let failure: LogFailure | null = null;
  const worker = new Worker(entry(), { name: 'log-loading', workerData: data });
  const stop = (): void => void worker.terminate();
  worker.on('message', (message: FromLogLoader) => {
    if (message.kind === 'copy') copies.push(message);
    else if (message.kind === 'end') end = message.end;
    else if (message.kind === 'failed') {
      failure = new LogFailure(message.why, message.isDamage, message.isForeign);
    }
  });
  // Of the thread, not of the file: out of memory.
  worker.on('error', (error: Error) => (failure ??= new LogFailure(error.message, false, false)));
  worker.on('exit', (code) => {
    signal.removeEventListener('abort', stop);
    if (failure === null && end !== null) resolve({ copies, end });
    else reject(failure ?? new LogFailure(`its thread ended with code ${code}`, false, false));
  });
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  return promise;
}

/** Threads run as this module does: from source, or built. */
function entry(): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`./log-loader.${extension}`, import.meta.url);
}
