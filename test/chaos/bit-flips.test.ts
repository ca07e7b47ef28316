/** One bit changes on its way between two real nodes. In a header or in redo the frame is refused; in a chunk,
 *  which carries no checksum while it is alive, the CHECK pass finds it before the copy counts as checked. Either
 *  way it is counted, logged and made good. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ACK, CHECKED, CHUNK, REDO } from '../../packages/replication/src/frame.ts';
import { binary } from '../support/dataset.ts';
import { eventually, within } from '../support/eventually.ts';
import { type Fault, flipIn, stallAt } from '../support/faults.ts';
import { CLEAN, ingotVerify } from '../support/ingot.ts';
import { fill } from '../support/resp-connection.ts';
import { scrape } from '../support/scrape.ts';
import type { TcpLink } from '../support/tcp-link.ts';
import { LinkedPair } from '../sync/linked-pair.ts';
import { LogWatch } from './log-watch.ts';

/** With header and key the only record in its chunk: most of a chunk's bytes are value. */
const VALUE_BYTES = 62_000;
/** More than the ring holds. */
const KEYS = 80;
/** Byte of a chunk that lies in such a value. */
const IN_A_VALUE = 40_000;
/** Frames in front of them: header, chunk table, index. */
const FRAMES_BEFORE = 5;
const STRIKES_WITHIN_MS = 20_000;

let pair: LinkedPair;
let link: TcpLink;
let primary: LogWatch;
let follower: LogWatch;

beforeAll(async () => {
  pair = await LinkedPair.first(
    {
      capacity: '16mb',
      partitions: 1,
      foundArgs: ['--capacity-max', '16mb', '--value-max', '1mb'],
    },
    { frames: true },
  );
  link = pair.linkOf(1);
  pair.cluster.node(2).launch();
  await pair.cluster.settled();
  await write(0);
  await pair.cluster.replicated();
});

beforeEach(() => {
  [primary, follower] = pair.cluster.nodes.map((node) => new LogWatch(node));
});

afterAll(() => pair.stop());

test.each([
  ['a header', flipIn(REDO, 'header', { at: 17, bit: 3 }), 'the header checksum holds'],
  ["a header's magic", flipIn(REDO, 'header', { at: 1 }), 'a frame starts with its magic'],
  ['redo', flipIn(REDO, 'payload', { at: 200, bit: 7 }), 'the payload checksum holds'],
])(
  'a bit flipped in %s: the connection ends with the broken rule, and the copy goes on',
  async (_place, fault, rule) => {
    const before = await counts();
    await strike(fault, () => write(1, 3));
    await pair.cluster.replicated();

    await follower.logs('connectionLost', { reason: `broken rule: ${rule}` });
    await primary.logs('connectionLost', { node: 'n2' });
    const after = await counts();
    expect(after.brokenFrames - before.brokenFrames).toBe(1);
    expect(after.fullSyncs).toBe(before.fullSyncs);
    expect(after.partialSyncs).toBeGreaterThan(before.partialSyncs);
    expect(await ingotVerify(pair.cluster.node(1).ports.control)).toMatchObject(CLEAN);
  },
);

test('a bit flipped in an acknowledgement: the primary ends the connection, and the copy goes on', async () => {
  const before = await counts();
  await strike(flipIn(ACK, 'header', { at: 16, direction: 'up' }), () => write(2, 3));
  await pair.cluster.replicated();

  await primary.logs('connectionLost', { reason: 'broken rule: the header checksum holds' });
  const after = await counts();
  expect(after.brokenFrames - before.brokenFrames).toBe(1);
  expect(after.fullSyncs).toBe(before.fullSyncs);
  expect(await ingotVerify(pair.cluster.node(1).ports.control)).toMatchObject(CLEAN);
});

test('a bit flipped in a chunk: found before the copy counts as checked, counted, repaired', async () => {
  const before = await counts();
  pair.cut();
  await stateIs('connecting');
  await write(3);
  const flip = link.arm(flipIn(CHUNK, 'payload', { at: IN_A_VALUE, bit: 5, skip: FRAMES_BEFORE }));
  const answers = link.arm(stallAt(CHECKED, 'up'));
  pair.heal();
  const { part } = await within('a bit flips in a chunk', STRIKES_WITHIN_MS, flip.struck);
  await within('the follower has compared', STRIKES_WITHIN_MS, answers.struck);

  // The follower's answers are held: nobody can have told it yet that it is checked.
  await follower.logs('checkFailed', { partition: 0, chunk: part.chunk });
  await stateIs('checking');
  expect(follower.lines('checkPassed')).toEqual([]);
  const held = await scrape(pair.cluster.node(2).ports.http);
  expect(held.sum('ingot_partition_states', { state: 'checking' })).toBe(1);
  expect(held.sum('ingot_partition_states', { state: 'following' })).toBe(0);

  link.release();
  await primary.logs('checkFailed', { partition: 0, chunk: part.chunk, node: 'n2' });
  await primary.logs('repaired', { partition: 0, chunk: part.chunk, node: 'n2' });
  await follower.logs('checkPassed');
  await stateIs('streaming');
  const after = await counts();
  expect(after.checksFailed - before.checksFailed).toBe(1);
  expect(after.repairs - before.repairs).toBe(1);
  expect(after.fullSyncs).toBe(before.fullSyncs);
  expect(await ingotVerify(pair.cluster.node(1).ports.control)).toMatchObject(CLEAN);
});

/** Writes values that are made from `round`. */
async function write(round: number, keys = KEYS): Promise<void> {
  await fill(pair.cluster.node(1).ports.client, keys, (i) => [
    `k${i}`,
    binary(i + round * 1_000, VALUE_BYTES),
  ]);
}

async function strike(fault: Fault, work: () => Promise<void>): Promise<void> {
  link.arm(fault);
  await work();
  await within('the fault strikes', STRIKES_WITHIN_MS, fault.struck);
}

async function stateIs(wanted: string): Promise<void> {
  await eventually(`the copy is ${wanted}`, async () => {
    const [{ followers }] = (await pair.cluster.view()).partitions;
    if (followers[0].state !== wanted) throw new Error(`it is ${followers[0].state}`);
    return true;
  });
}

async function counts(): Promise<
  Record<'fullSyncs' | 'partialSyncs' | 'checksFailed' | 'repairs' | 'brokenFrames', number>
> {
  const { cluster } = pair;
  return {
    fullSyncs: await cluster.sum('ingot_full_syncs_total'),
    partialSyncs: await cluster.sum('ingot_partial_syncs_total'),
    checksFailed: await cluster.sum('ingot_checks_failed_total'),
    repairs: await cluster.sum('ingot_repairs_total'),
    brokenFrames: await cluster.sum('ingot_broken_frames_total'),
  };
}
