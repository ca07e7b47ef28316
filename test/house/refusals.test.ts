/** What docs/raw-bytes.md says of refusals is what a follower is told: every code and every sentence. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  type FeedingState,
  type LocalNode,
  type LocalPartition,
  refuse,
} from '../../packages/replication/src/admission.ts';
import { BYTE_ORDER_MARK, type Hello } from '../../packages/replication/src/hello.ts';
import { peerRefusal } from '../../packages/replication/src/peer-refusals.ts';
import { REFUSAL_CODES, type RefusalCode } from '../../packages/replication/src/welcome.ts';
import { CHUNK_BYTES, FORMAT_VERSION, planGeometry } from '../../packages/store/src/index.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/raw-bytes.md'), 'utf8');

const geometry = planGeometry({ partitions: 4, capacityBytes: 2 ** 26 });
const EPOCH = 7;

const hello: Hello = {
  storeFormat: FORMAT_VERSION,
  byteOrder: BYTE_ORDER_MARK,
  clusterId: 'ours',
  nodeId: 'n2',
  incarnation: 3,
  partition: 2,
  partitions: geometry.partitions,
  chunkBytes: CHUNK_BYTES,
  chunkCount: geometry.chunkCount,
  valueMaxBytes: geometry.valueMaxBytes,
  base: null,
  consistent: false,
  checked: false,
  seedable: false,
  snapshot: false,
  guest: false,
  history: [],
  stamps: new Uint32Array(),
};

const local = { geometry, epoch: EPOCH, isPrimary: true, followers: ['n2'] };
const follower = (feeding: FeedingState): LocalPartition => ({
  ...local,
  isPrimary: false,
  feeding,
});
const node: LocalNode = {
  clusterId: 'ours',
  partition: () => local,
  incarnationOf: () => hello.incarnation,
};

interface Case {
  readonly code: RefusalCode;
  readonly hello?: Partial<Hello>;
  readonly epoch?: number;
  readonly node?: Partial<LocalNode>;
}

const CASES: readonly Case[] = [
  { code: 'byteOrder', hello: { byteOrder: 0x0201 } },
  { code: 'format', hello: { storeFormat: FORMAT_VERSION + 1 } },
  { code: 'clusterId', hello: { clusterId: 'another' } },
  { code: 'partition', node: { partition: () => null } },
  { code: 'geometry', hello: { partitions: 8 } },
  { code: 'notPrimary', node: { partition: () => ({ ...local, isPrimary: false }) } },
  { code: 'epoch', epoch: EPOCH - 1 },
  { code: 'notFollower', node: { partition: () => ({ ...local, followers: [] }) } },
  { code: 'incarnation', node: { incarnationOf: () => 4 } },
  { code: 'noSource', hello: { seedable: true }, node: { partition: () => follower('noSource') } },
  { code: 'noSlots', hello: { seedable: true }, node: { partition: () => follower('noSlots') } },
];

test('a follower that fits is let in', () => expect(refuse(hello, EPOCH, node)).toBeNull());

test.each(CASES)('docs/raw-bytes.md has the words of the refusal $code', (each) => {
  const epoch = each.epoch ?? EPOCH;
  const refusal = refuse({ ...hello, ...each.hello }, epoch, { ...node, ...each.node });
  expect(refusal?.code).toBe(each.code);
  expect(page).toContain(`| \`${each.code}\` | \`${refusal?.text}\` |`);
});

test('docs/raw-bytes.md has the words of the refusal certificate', () => {
  const { text } = peerRefusal('certificateName', 'it says it is n2');
  expect(page).toContain(`| \`certificate\` | \`${text}\` |`);
});

test('docs/raw-bytes.md names every code of a refusal', () => {
  expect(REFUSAL_CODES.filter((code) => !page.includes(`| \`${code}\` | `))).toEqual([]);
});
