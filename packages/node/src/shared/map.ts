/** The cluster map: who is in the cluster, and who holds and leads which partition.
 *  Writer: proposals through a ClusterMapStore, one version at a time. Readers: everything else.
 *  Invariants: a map is never changed in place, `version` grows by one per change, an epoch grows
 *  by one per change of primary, the copies of a partition are on different nodes that the map
 *  lists. Roles and epochs come from here alone. */
import { z } from 'zod';
import type { Ports } from './settings.ts';

export type NodeId = string;

/** One bound for every id that travels: it ends up in logs, metrics labels and file names. */
export const nodeIdPattern: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** What a node listens on. */
export type NodePorts = Ports;

export interface MapNode {
  id: NodeId;
  /** Which life of the node process this is; +1 at each start. */
  incarnation: number;
  /** Lives up to this one are over for good: no lease is renewed for them, no proposal taken. */
  fencedThrough: number;
  /** Of the join by which this life came in: whoever asks again with it is told of this life. */
  joinId: string;
  /** 'down' once its last life is fenced, until another is registered; it leads nothing. */
  state: 'up' | 'down';
  /** The acceptor in the node's data dir: a random id, born with its file. */
  acceptor: string;
  /** Votes, and holds no copies. */
  witness: boolean;
  /** Holds no copies and has no vote: it may have snapshots of all partitions. */
  observer: boolean;
  /** The host name or address under which other nodes and clients reach it. */
  advertise: string;
  ports: NodePorts;
}

/** One life of a node: whoever starts again is somebody else. */
export interface Life {
  node: NodeId;
  incarnation: number;
}

export function isSameLife(a: Life, b: Life): boolean {
  return a.node === b.node && a.incarnation === b.incarnation;
}

/** One word for a life: a key of maps. */
export function nameOfLife({ node, incarnation }: Life): string {
  return `${node}:${incarnation}`;
}

export interface PlacementEntry {
  epoch: number;
  /** null while the primary's memory is gone and no follower has been named in its place yet. */
  primary: NodeId | null;
  followers: NodeId[];
  /** Whom a write with acks=isr waits for, the primary among them. Changed by the primary, and by a
   *  failover. */
  inSync: Life[];
  /** At some epoch no copy was left and the partition was started again, empty. Stays set. */
  lost: boolean;
  /** The last failover gave the lead to a copy that was not in sync: acknowledged writes may be
   *  missing. A planned change of primary carries it on. */
  lossy: boolean;
}

/** An acceptor of the register that holds this map. */
export interface AcceptorRef {
  id: string;
  node: NodeId;
}

/** Who decides about the map: a majority of `current` and, while the set changes, of `next` too. */
export interface AcceptorSet {
  current: AcceptorRef[];
  next: AcceptorRef[] | null;
}

/** A life that is about to end, or has ended, because somebody wanted it to. */
export interface StoppingLife extends Life {
  /** By the wall clock of who wrote it down. For people. */
  sinceMs: number;
}

export interface Pin {
  partition: number;
  node: NodeId;
}

/** What operators have asked for: whoever coordinates goes by it until it is done, or undone. */
export interface Wishes {
  /** Nodes that shall hold nothing and then be no members any more. Undone by a start of the node. */
  leaving: NodeId[];
  /** Lives that shall lead nothing and be in sync with nobody. */
  stopping: StoppingLife[];
  /** Who is to lead a partition, whatever the balance says. They end when nodes join, leave or are
   *  forgotten, and where the node has no copy any more. */
  pins: Pin[];
}

export interface ClusterMap {
  version: number;
  clusterId: string;
  partitions: number;
  copies: number;
  /** With which the cluster was founded: what the images are laid out from. */
  capacityBytes: number;
  /** What of the images may be in use now, all primaries together; null: `capacityBytes`. */
  capacityLimitBytes: number | null;
  capacityMaxBytes: number;
  valueMaxBytes: number;
  eviction: 'sieve' | 'volatile-ttl' | 'noeviction';
  /** A write with acks=isr is refused while fewer copies than this, the primary among them, are in
   *  sync. */
  minIsr: number;
  /** Where no copy in sync is left, the best consistent one may lead. */
  uncleanFailover: boolean;
  acceptors: AcceptorSet;
  nodes: MapNode[];
  /** Index = partition id. */
  placement: PlacementEntry[];
  wishes: Wishes;
  /** The last operation of each proposer, so that an unanswered proposal can be told from a lost
   *  one. */
  operations: Record<NodeId, string>;
}

const portSchema = z.int().min(0).max(65_535);
const nodeIdSchema = z.string().regex(nodeIdPattern);
const countSchema = z.int().min(0);
const acceptorIdSchema = z.string().min(1).max(64);

const nodePortsSchema: z.ZodType<NodePorts> = z.object({
  client: portSchema,
  replication: portSchema,
  control: portSchema,
  http: portSchema,
  cluster: portSchema,
  follower: portSchema,
});

export const mapNodeSchema: z.ZodType<MapNode> = z.object({
  id: nodeIdSchema,
  incarnation: countSchema,
  fencedThrough: countSchema,
  joinId: z.string().max(64),
  state: z.enum(['up', 'down']),
  acceptor: acceptorIdSchema,
  witness: z.boolean(),
  observer: z.boolean().default(false),
  advertise: z.string().min(1).max(255),
  ports: nodePortsSchema,
});

export const lifeSchema: z.ZodType<Life> = z.object({
  node: nodeIdSchema,
  incarnation: countSchema,
});

const acceptorRefsSchema: z.ZodType<AcceptorRef[]> = z
  .array(z.object({ id: acceptorIdSchema, node: nodeIdSchema }))
  .min(1)
  .max(5);

const placementEntrySchema: z.ZodType<PlacementEntry> = z.object({
  epoch: countSchema,
  primary: nodeIdSchema.nullable(),
  followers: z.array(nodeIdSchema),
  inSync: z.array(lifeSchema).max(16),
  lost: z.boolean(),
  lossy: z.boolean(),
});

const wishesSchema: z.ZodType<Wishes> = z.object({
  leaving: z.array(nodeIdSchema).max(1024),
  stopping: z
    .array(z.object({ node: nodeIdSchema, incarnation: countSchema, sinceMs: z.number() }))
    .max(1024),
  pins: z.array(z.object({ partition: countSchema, node: nodeIdSchema })).max(4096),
});

const clusterMapSchema: z.ZodType<ClusterMap> = z.object({
  version: countSchema,
  clusterId: z.string().min(1).max(64),
  partitions: z.int().min(1).max(4096),
  copies: z.int().min(1).max(16),
  capacityBytes: countSchema,
  capacityLimitBytes: countSchema.nullable().default(null),
  capacityMaxBytes: countSchema,
  valueMaxBytes: countSchema,
  eviction: z.enum(['sieve', 'volatile-ttl', 'noeviction']),
  minIsr: z.int().min(1).max(16),
  uncleanFailover: z.boolean(),
  acceptors: z.object({ current: acceptorRefsSchema, next: acceptorRefsSchema.nullable() }),
  nodes: z.array(mapNodeSchema).max(1024),
  placement: z.array(placementEntrySchema).max(4096),
  wishes: wishesSchema,
  operations: z.record(z.string(), z.string().max(128)),
});

/** The node with this id, or null when the map does not list it. */
export function nodeOf(map: ClusterMap, node: NodeId): MapNode | null {
  return map.nodes.find((candidate) => candidate.id === node) ?? null;
}

export function isUp(map: ClusterMap, node: NodeId): boolean {
  return nodeOf(map, node)?.state === 'up';
}

/** The nodes that have snapshots only. */
export function observersOf({ nodes }: ClusterMap): NodeId[] {
  return nodes.filter(({ observer }) => observer).map(({ id }) => id);
}

/** Whether this node is on its way out of the cluster. */
export function isLeaving({ wishes }: ClusterMap, node: NodeId): boolean {
  return wishes.leaving.includes(node);
}

/** Since when the present life of the node is to end, or has ended, as asked; null for one that is
 *  not. */
export function stoppingSinceMs(map: ClusterMap, node: NodeId): number | null {
  return map.wishes.stopping.find((life) => life.node === node)?.sinceMs ?? null;
}

/** Whether the present life of the node is to lead nothing. */
export function isStopping(map: ClusterMap, node: NodeId): boolean {
  return stoppingSinceMs(map, node) !== null;
}

/** The primary of a partition, or null when it has none at the moment. */
export function whoLeads(map: ClusterMap, partition: number): NodeId | null {
  return map.placement[partition].primary;
}

/** The nodes that hold a copy, the primary first. */
export function copiesOf(entry: PlacementEntry): NodeId[] {
  return entry.primary === null ? entry.followers : [entry.primary, ...entry.followers];
}

export function holdsCopy(entry: PlacementEntry, node: NodeId): boolean {
  return entry.primary === node || entry.followers.includes(node);
}

/** The ids of the partitions of which `node` holds a copy. */
export function copiesOn(map: ClusterMap, node: NodeId): number[] {
  return partitionsWhere(map, (entry) => holdsCopy(entry, node));
}

/** The ids of the partitions that `node` leads. */
export function ledBy(map: ClusterMap, node: NodeId): number[] {
  return partitionsWhere(map, (entry) => entry.primary === node);
}

/** `host:port`, with an IPv6 host in brackets. */
export function addressOf(node: MapNode, port: keyof NodePorts): string {
  const host = node.advertise.includes(':') ? `[${node.advertise}]` : node.advertise;
  return `${host}:${node.ports[port]}`;
}

/** A map that came off the wire or the disk. Throws an Error that says which rule it breaks. */
export function parseClusterMap(value: unknown): ClusterMap {
  const map = clusterMapSchema.parse(value);
  const broken = brokenMapRule(map);
  if (broken !== null) throw new Error(`cluster map: ${broken}`);
  return map;
}

function brokenMapRule(map: ClusterMap): string | null {
  if (map.placement.length !== map.partitions) return 'placement has one entry per partition';
  const ids = new Set(map.nodes.map((node) => node.id));
  if (ids.size !== map.nodes.length) return 'node ids are unique';
  for (const entry of map.placement) {
    const copies = copiesOf(entry);
    if (new Set(copies).size !== copies.length)
      return 'copies of a partition are on different nodes';
    if (!copies.every((node) => ids.has(node))) return 'copies are on nodes that the map lists';
    if (!entry.inSync.every(({ node }) => copies.includes(node))) return 'in sync are copies only';
  }
  return brokenWishRule(map);
}

function brokenWishRule(map: ClusterMap): string | null {
  const { leaving, stopping, pins } = map.wishes;
  const hasTwice = (names: readonly (string | number)[]): boolean =>
    new Set(names).size !== names.length;
  if (hasTwice(leaving) || leaving.some((node) => nodeOf(map, node) === null)) {
    return 'nodes that leave are listed, each once';
  }
  const isListed = (life: Life): boolean =>
    nodeOf(map, life.node)?.incarnation === life.incarnation;
  if (hasTwice(stopping.map(({ node }) => node)) || !stopping.every(isListed)) {
    return 'lives that stop are the last ones of their nodes';
  }
  const isHeld = ({ partition, node }: Pin): boolean =>
    map.placement[partition] !== undefined && holdsCopy(map.placement[partition], node);
  if (hasTwice(pins.map(({ partition }) => partition)) || !pins.every(isHeld)) {
    return 'a partition is pinned to one of its copies';
  }
  return null;
}

function partitionsWhere(map: ClusterMap, holds: (entry: PlacementEntry) => boolean): number[] {
  const found: number[] = [];
  for (const [partition, entry] of map.placement.entries()) if (holds(entry)) found.push(partition);
  return found;
}
