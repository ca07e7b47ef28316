/** Questions about the whole cluster, which any node answers by asking the others: what it looks
 *  like, and whether all copies are equal. */
import { type ClusterMap, isUp, type MapNode, type NodeId, whoLeads } from '../shared/map.ts';
import type { Peers } from './peers.ts';
import type {
  ClusterStatus,
  NodeAnswer,
  NodeCallbacks,
  VerifyProgress,
  VerifyReport,
} from './types.ts';

/** Partitions compared between two progress reports. */
const verifyGroupPartitions = 8;
/** How often partitions that moved away while it was their turn are tried again. */
const verifyRoundsMax = 3;

export interface QueryContext {
  self: NodeId;
  node: NodeCallbacks;
  peers: Peers;
  map: () => ClusterMap;
}

export interface VerifyEvent {
  progress: VerifyProgress;
  /** What was found since the event before. */
  found: VerifyReport;
}

export async function localStatus({ node, map, self }: QueryContext): Promise<ClusterStatus> {
  return { map: map(), nodes: [{ node: self, status: await node.status(), why: '' }] };
}

/** A node that cannot be asked has an answer that says so. */
export async function clusterStatus(context: QueryContext): Promise<ClusterStatus> {
  const map = context.map();
  const nodes = await Promise.all(map.nodes.map((node) => nodeAnswer(context, node)));
  return { map, nodes };
}

/** Compares the copies of partitions that this node leads. */
export async function* verifyLed(
  { node }: QueryContext,
  partitions: readonly number[],
): AsyncGenerator<VerifyEvent> {
  const partitionsTotal = partitions.length;
  for (let start = 0; start < partitionsTotal; start += verifyGroupPartitions) {
    const group = partitions.slice(start, start + verifyGroupPartitions);
    const found = await node.verify(group);
    yield { progress: { partitionsDone: start + group.length, partitionsTotal }, found };
  }
}

/** Compares all copies of the cluster: asks all primaries at once, each for its partitions. Those
 *  whose primary changed meanwhile are asked for again, where they are now. */
export async function* verifyCluster(context: QueryContext): AsyncGenerator<VerifyEvent> {
  const partitionsTotal = context.map().partitions;
  let partitionsDone = 0;
  let due = [...context.map().placement.keys()];
  for (let round = 1; due.length > 0; round++) {
    const map = context.map();
    const again: number[] = [];
    for await (const { partitions, found } of verifyRound(context, map, due)) {
      const isMoved = (partition: number) =>
        round < verifyRoundsMax && map.placement[partition] !== context.map().placement[partition];
      again.push(...partitions.filter(isMoved));
      partitionsDone += partitions.filter((partition) => !isMoved(partition)).length;
      yield {
        progress: { partitionsDone, partitionsTotal },
        found: {
          chunksChecked: found.chunksChecked,
          differences: found.differences.filter(({ partition }) => !isMoved(partition)),
          notChecked: found.notChecked.filter(({ partition }) => !isMoved(partition)),
        },
      };
    }
    due = again;
  }
}

interface GroupFound {
  partitions: number[];
  found: VerifyReport;
}

async function* verifyRound(
  context: QueryContext,
  map: ClusterMap,
  due: readonly number[],
): AsyncGenerator<GroupFound> {
  const leaderless = due.filter((partition) => !isLed(map, partition));
  if (leaderless.length > 0) {
    yield notChecked(map, leaderless, 'its primary is not up');
  }
  const walks = map.nodes.map((node) => {
    const led = due.filter(
      (partition) => isLed(map, partition) && whoLeads(map, partition) === node.id,
    );
    return verifyAt(context, map, node, led);
  });
  yield* merged(walks);
}

/** What several generators yield, as it comes. */
async function* merged<Item>(sources: readonly AsyncGenerator<Item>[]): AsyncGenerator<Item> {
  const nextOf = async (source: AsyncGenerator<Item>) => ({ source, result: await source.next() });
  const pending = new Map(sources.map((source) => [source, nextOf(source)]));
  while (pending.size > 0) {
    const { source, result } = await Promise.race(pending.values());
    if (result.done === true) {
      pending.delete(source);
      continue;
    }
    pending.set(source, nextOf(source));
    yield result.value;
  }
}

async function* verifyAt(
  context: QueryContext,
  map: ClusterMap,
  node: MapNode,
  led: readonly number[],
): AsyncGenerator<GroupFound> {
  if (led.length === 0) return;
  const events =
    node.id === context.self ? verifyLed(context, led) : context.peers.client(node).verify(led);
  let done = 0;
  try {
    for await (const { progress, found } of events) {
      yield { partitions: led.slice(done, progress.partitionsDone), found };
      done = progress.partitionsDone;
    }
  } catch (error) {
    yield notChecked(map, led.slice(done), (error as Error).message);
  }
}

function isLed(map: ClusterMap, partition: number): boolean {
  const primary = whoLeads(map, partition);
  return primary !== null && isUp(map, primary);
}

function notChecked(map: ClusterMap, partitions: readonly number[], why: string): GroupFound {
  const entries = partitions.map((partition) => ({
    partition,
    node: whoLeads(map, partition) ?? '',
    why,
  }));
  return {
    partitions: [...partitions],
    found: { chunksChecked: 0, differences: [], notChecked: entries },
  };
}

async function nodeAnswer(context: QueryContext, node: MapNode): Promise<NodeAnswer> {
  try {
    const status =
      node.id === context.self
        ? await context.node.status()
        : (await context.peers.client(node).status('node')).nodes[0].status;
    return { node: node.id, status, why: '' };
  } catch (error) {
    return { node: node.id, status: null, why: (error as Error).message };
  }
}
