import { describe, expect, test } from 'vitest';
import {
  decodeBegin,
  decodeRefuse,
  decodeWelcome,
  encodeBegin,
  encodeRefuse,
  encodeWelcome,
  REFUSAL_CODES,
  SYNC_KINDS,
  SYNC_REASONS,
} from './welcome.ts';

const welcome = {
  nodeId: 'n1',
  incarnation: 3,
  kind: 'rewind',
  reason: 'the copy has changes of a lost primary',
  sharedSeq: 2 ** 33 + 1,
} as const;
const begin = { kind: 'full', reason: 'the copy is empty', chunkCount: 77, pass: 1 } as const;

describe('WELCOME, REFUSE, BEGIN', () => {
  test('format 1, golden bytes', () => {
    expect(encodeWelcome(welcome).toString('hex')).toBe(
      '02000000030000000100000002000000030000000200000000000000000000006e310000',
    );
    expect(encodeBegin(begin).toString('hex')).toBe('03000000040000004d00000001000000');
    expect(encodeRefuse({ code: 'epoch', text: 'old' }).toString('hex')).toBe('060003006f6c6400');
  });

  test('read back as they were written', () => {
    expect(decodeWelcome(encodeWelcome(welcome))).toEqual(welcome);
    expect(decodeBegin(encodeBegin(begin))).toEqual(begin);
    for (const code of REFUSAL_CODES) {
      const refusal = { code, text: 'start it with the settings of the cluster' };
      expect(decodeRefuse(encodeRefuse(refusal))).toEqual(refusal);
    }
  });

  test('a refusal that is too long to send is cut', () => {
    const refusal = decodeRefuse(encodeRefuse({ code: 'busy', text: 'x'.repeat(5_000) }));
    expect(refusal).toEqual({ code: 'busy', text: 'x'.repeat(1_020) });
  });

  test('codes beyond the tables are refused', () => {
    const rule = 'the kind and the reason of a sync are known';
    const bytes = encodeWelcome(welcome);
    bytes.writeUInt32LE(SYNC_KINDS.length, 0);
    expect(decodeWelcome(bytes)).toBe(rule);
    const badBegin = encodeBegin(begin);
    badBegin.writeUInt32LE(SYNC_REASONS.length, 4);
    expect(decodeBegin(badBegin)).toBe(rule);
    const badRefuse = encodeRefuse({ code: 'busy', text: '' });
    badRefuse.writeUInt16LE(REFUSAL_CODES.length, 0);
    expect(decodeRefuse(badRefuse)).toBe('the refusal code is known');
  });

  test('lengths that do not fit their frame are refused', () => {
    const bytes = encodeWelcome(welcome);
    bytes.writeUInt32LE(200, 20);
    expect(decodeWelcome(bytes)).toBe('a WELCOME is as long as its node id says');
    const refuse = encodeRefuse({ code: 'busy', text: 'x' });
    refuse.writeUInt16LE(9, 2);
    expect(decodeRefuse(refuse)).toBe('a REFUSE is as long as its text says');
  });
});
