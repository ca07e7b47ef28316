import { hashKey } from '@ingot/store';
import { beforeEach, describe, expect, it } from 'vitest';
import { Args } from '../resp/args.ts';
import { find } from './records.ts';
import { SingleNode } from './single-node.fixture.ts';
import { piece, PIECE_BYTES, visitValue } from './value-pieces.ts';

const BYTES = 4 * PIECE_BYTES + 1_000;

/** Of the byte at `at`: no two stretches are alike. */
const byteAt = (at: number): number => Math.imul(at, 0x9e3779b1) >>> 24;

let node: SingleNode;
const args = Args.of('BITCOUNT', 'large');
beforeEach(() => {
  node = new SingleNode({ capacityBytes: 32 * 2 ** 20 });
  const [partition] = node.partitions;
  node.execution.partition = partition;
  node.execution.nowMs = node.nowMs;
  const key = Buffer.from('large');
  const write = partition.values.beginLarge(hashKey(key, 0, 5), key, 0, 5, BYTES);
  if (typeof write === 'number') throw new Error(`refused: ${write}`);
  const value = Buffer.from(Array.from({ length: BYTES }, (_, at) => byteAt(at)));
  while (write.written < BYTES) {
    write.write(value, write.written, BYTES - write.written, node.nowMs);
  }
  write.publish(0, node.nowMs);
});

/** Reads without the gate, as the executor has a read run; `between` runs after each piece. */
function visitAll(between: (count: number) => void): { whole: boolean; seen: number } {
  const { execution } = node;
  let seen = 0;
  let count = 0;
  execution.readWith(node.partitions[0].readBegin());
  const ref = find(execution, args, 1);
  const whole = visitValue(execution, args, 1, ref, 0, BYTES, (bytes, at) => {
    for (let i = 0; i < bytes; i += 97) expect(piece[i]).toBe(byteAt(at + i));
    seen += bytes;
    between(++count);
    return false;
  });
  const settled = whole && execution.settled;
  execution.readWith(-1);
  node.execution.forgetHash();
  return { whole: settled, seen };
}

describe('values in pieces', () => {
  it('are read whole where nobody writes', () => {
    expect(visitAll(() => {})).toEqual({ whole: true, seen: BYTES });
  });

  it('go on where others write other keys meanwhile, each byte visited once', () => {
    const write = (count: number): void => void node.ask('SET', `other${count}`, 'x'.repeat(500));
    expect(visitAll(write)).toEqual({ whole: true, seen: BYTES });
  });

  it.each([
    ['changes', ['SETBIT', 'large', '5', '1']],
    ['goes', ['DEL', 'large']],
    ['is another', ['SET', 'large', 'short']],
  ])('are torn where the value %s meanwhile', (_what, command) => {
    const change = (count: number): void => {
      if (count === 2) node.ask(...command);
    };
    expect(visitAll(change)).toEqual({ whole: false, seen: 2 * PIECE_BYTES });
  });
});
