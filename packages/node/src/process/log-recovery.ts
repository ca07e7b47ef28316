/** What the redo log adds to the copies that were read from checkpoints, before the node joins its cluster.
 *
 *  Owner: the main thread; threads of their own read, each some partitions. A log that cannot be read is set aside, and
 *  the copies stay as the checkpoints left them. */
import { renameSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { EvictionPolicy, PartitionHandle } from '@ingot/store';
import { hasLog, logPath } from '../redo-log/lmdb-log-store.ts';
import type { LogOwner } from '../redo-log/log-group.ts';
import type { LogEnd } from '../redo-log/log-replay.ts';
import type { LogStart } from '../redo-log/log-writer.ts';
import { geometryOf } from '../shared/capacity.ts';
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
  /** The life that wrote the last of it; 0: none did. */
  readonly life: number;
  /** The partitions of which all that the log has is in their copies. */
  readonly whole: readonly number[];
}

export interface LogRecoveryOptions {
  readonly settings: Pick<Settings, 'dataDir' | 'id' | 'workers'>;
  readonly map: ClusterMap;
  readonly handles: readonly PartitionHandle[];
  readonly limit: MemoryLimit;
  readonly log: NodeLog;
}

/** Never rejects. */
export async function recoverLog(options: LogRecoveryOptions): Promise<LogRecovered> {
  const { settings, log, handles } = options;
  if (!hasLog(settings.dataDir)) return nothingOf(handles);
  try {
    return await replayed(options);
  } catch (error) {
    const path = logPath(settings.dataDir);
    const why = (error as Error).message;
    const text = `the redo log ${path} cannot be read (${why}); it is set aside as ${path}.refused, and another begins`;
    log('error', 'log.refused', { why, text });
    setAside(path, log);
    return nothingOf(handles);
  }
}

function nothingOf(handles: readonly PartitionHandle[]): LogRecovered {
  return { handles, start: { cutAt: null, bytes: 0, copies: [] }, life: 0, whole: [] };
}

function setAside(path: string, log: NodeLog): void {
  try {
    renameSync(path, `${path}.refused`);
  } catch (error) {
    log('error', 'log.refused', { text: (error as Error).message });
  }
}

async function replayed(options: LogRecoveryOptions): Promise<LogRecovered> {
  const { settings, map, handles, limit, log } = options;
  const geometry = geometryOf(map);
  const known = new Set([...handles.map(({ id }) => id), ...copiesOn(map, settings.id)]);
  const partitions = [...known].toSorted((a, b) => a - b);
  const short = memoryRefusal(geometry, partitions.length, limit);
  if (short !== null) throw short;
  const beganMs = performance.now();
  const threads = Math.max(1, Math.min(settings.workers, partitions.length));
  const results = await Promise.all(
    Array.from({ length: threads }, (_, thread) => {
      const mine = partitions.filter((_id, i) => i % threads === thread);
      return runThread({
        path: logPath(settings.dataDir),
        owner: { clusterId: map.clusterId, node: settings.id, geometry },
        eviction: map.eviction,
        handles: handles.filter(({ id }) => mine.includes(id)),
        partitions: mine,
      });
    }),
  );
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
    life: end.life,
    whole: sound.filter(({ gap }) => gap === null).map(({ handle }) => handle.id),
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

async function runThread(data: LogLoaderData): Promise<{ copies: CopyMessage[]; end: LogEnd }> {
  const { promise, resolve, reject } = Promise.withResolvers<LogEnd>();
  const copies: CopyMessage[] = [];
  const worker = new Worker(entry(), { name: 'log-loading', workerData: data });
  worker.on('message', (message: FromLogLoader) => {
    if (message.kind === 'copy') copies.push(message);
    else if (message.kind === 'end') resolve(message.end);
  });
  worker.on('error', reject);
  worker.on('exit', (code) => reject(new Error(`its thread ended with code ${code}`)));
  const end = await promise;
  return { copies, end };
}

/** Threads run as this module does: from source, or built. */
function entry(): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`./log-loader.${extension}`, import.meta.url);
}
