import { describe, expect, test } from 'vitest';
import type { PeerRefusal } from './peer-refusals.ts';
import {
  AcceptingPreamble,
  ConnectingPreamble,
  MESSAGE_BYTES,
  type PreambleOptions,
  type PreambleStep,
} from './preamble.ts';
import { Random } from './random.fixture.ts';

const SECRET = Buffer.from('the secret of this very cluster');
const OTHER = Buffer.from('the secret of some other cluster');

type Side = ConnectingPreamble | AcceptingPreamble;
type Outcome = PreambleStep['outcome'];

const options = (change: Partial<PreambleOptions> = {}): PreambleOptions => ({
  purpose: 'replication',
  secret: SECRET,
  nonce: Buffer.alloc(32, 1),
  node: 'n1',
  ...change,
});
const connecting = (change: Partial<PreambleOptions> = {}, announce = false): ConnectingPreamble =>
  new ConnectingPreamble(options(change), announce);
const accepting = (change: Partial<PreambleOptions> = {}): AcceptingPreamble =>
  new AcceptingPreamble(options({ nonce: Buffer.alloc(32, 2), ...change }));

/** Pieces of `bytes`, each at most as long as `size` says. */
function* pieces(bytes: Buffer, size: () => number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const piece = bytes.subarray(at, at + Math.max(1, size()));
    at += piece.length;
    yield piece;
  }
}

/** Feeds bytes; returns what the side answers and where it ends. */
function feed(side: Side, bytes: Buffer, size: () => number = () => bytes.length) {
  const sent: Buffer[] = [];
  let outcome: Outcome = 'more';
  let used = 0;
  for (const piece of pieces(bytes, size)) {
    for (let at = 0; at < piece.length && side.wants; ) {
      const { used: taken, step } = side.push(piece.subarray(at));
      at += taken;
      used += taken;
      if (step.send !== null) sent.push(step.send);
      outcome = step.outcome;
    }
  }
  return { sent: Buffer.concat(sent), outcome, used };
}

/** Everything that both said, and how it ended for each. */
function talk(one: ConnectingPreamble, other: AcceptingPreamble, size?: () => number) {
  const opening = one.start();
  const said: Buffer[] = [];
  let ends: { connecting: Outcome; accepting: Outcome } = {
    connecting: opening.outcome,
    accepting: 'more',
  };
  for (let toOther = opening.send ?? Buffer.alloc(0); toOther.length > 0; ) {
    const there = feed(other, toOther, size);
    const back = feed(one, there.sent, size);
    said.push(toOther, there.sent);
    ends = {
      connecting: there.sent.length > 0 ? back.outcome : ends.connecting,
      accepting: there.outcome,
    };
    toOther = back.sent;
  }
  return { said, ...ends };
}

const reasonOf = (outcome: Outcome): string =>
  typeof outcome === 'string' ? outcome : outcome.reason;
const textOf = (outcome: Outcome): string => (outcome as PeerRefusal).text;

describe('two sides with one secret', () => {
  test('golden bytes of version 1', () => {
    const { said } = talk(connecting(), accepting());
    const [opening, challenge, proof, answer] = said.map((bytes) => bytes.toString('hex'));
    expect(opening).toBe(
      '494e475001010001' +
        '01'.repeat(32) +
        '676b8bb84ce7267dd520deca4811c8f10a53e636352f06987f42fe425acedd80',
    );
    expect(challenge).toBe(`494e475001020001${'02'.repeat(32)}${'00'.repeat(32)}`);
    expect(proof).toBe(
      `494e4750010300009d5eba4f713179fbafe4a01561e7d857dcd45946c71da3a4771496255d202920${'00'.repeat(32)}`,
    );
    expect(answer).toBe(
      `494e47500104000039b8956140b47119bf484227c7b5a0442c1eaa62c55e474f17a54a29e552c8f0${'00'.repeat(32)}`,
    );
  });

  test('both pass, whole, byte by byte and at random cuts', () => {
    const random = new Random(7);
    for (const size of [() => 1_000, () => 1, ...Array(50).fill(() => random.below(100))]) {
      const { connecting: one, accepting: other, said } = talk(connecting(), accepting(), size);
      expect([one, other]).toEqual(['passed', 'passed']);
      expect(said.map((bytes) => bytes.length)).toEqual(Array(4).fill(MESSAGE_BYTES));
    }
  });

  test('what follows the preamble is left alone', () => {
    const [one, other] = [connecting(), accepting()];
    const challenge = feed(other, one.start().send as Buffer).sent;
    const proof = feed(one, challenge).sent;
    const { used, outcome, sent } = feed(other, Buffer.concat([proof, Buffer.from('HELLO')]));
    expect({ used, outcome }).toEqual({ used: MESSAGE_BYTES, outcome: 'passed' });
    expect(feed(one, Buffer.concat([sent, Buffer.from('WELCOME')]))).toMatchObject({
      used: MESSAGE_BYTES,
      outcome: 'passed',
    });
    expect(other.leftOver().length + one.leftOver().length).toBe(0);
  });

  test('no message passes with any one byte changed', () => {
    const { said } = talk(connecting(), accepting());
    for (let message = 0; message < said.length; message++) {
      for (let at = 0; at < MESSAGE_BYTES; at++) {
        const [one, other] = [connecting(), accepting()];
        const damage = (n: number, bytes: Buffer): Buffer => {
          const copy = Buffer.from(bytes);
          if (n === message) copy[at] ^= 1;
          return copy;
        };
        const challenge = feed(other, damage(0, one.start().send as Buffer)).sent;
        const proof = feed(one, damage(1, challenge)).sent;
        const answered = feed(other, damage(2, proof));
        const end = feed(one, damage(3, answered.sent)).outcome;
        expect(end === 'passed' && answered.outcome === 'passed', `${message} ${at}`).toBe(false);
        if (message < 3) expect(answered.outcome, `${message} ${at}`).not.toBe('passed');
      }
    }
  });

  test('whoever is there is good enough for a side that looks for nobody', () => {
    const ends = talk(connecting({ node: null }), accepting());
    expect([ends.connecting, ends.accepting]).toEqual(['passed', 'passed']);
  });
});

describe('a secret that is being changed', () => {
  test('both are believed from connecting peers, and answered with the one they have', () => {
    for (const secret of [SECRET, OTHER]) {
      const ends = talk(connecting({ secret }), accepting({ secret: OTHER, otherSecret: SECRET }));
      expect([ends.connecting, ends.accepting]).toEqual(['passed', 'passed']);
    }
    const third = connecting({ secret: Buffer.from('a third secret, of nobody') });
    const ends = talk(third, accepting({ secret: OTHER, otherSecret: SECRET }));
    expect([ends.connecting, ends.accepting].map(reasonOf)).toEqual(['otherSecret', 'otherSecret']);
  });

  test('the connecting side believes its own alone', () => {
    const one = connecting({ secret: SECRET, otherSecret: OTHER });
    const ends = talk(one, accepting({ secret: OTHER }));
    expect([ends.connecting, ends.accepting].map(reasonOf)).toEqual(['otherSecret', 'otherSecret']);
  });
});

describe('refused, and both sides say what to do', () => {
  test('another secret', () => {
    const {
      connecting: one,
      accepting: other,
      said,
    } = talk(connecting({ secret: OTHER }), accepting());
    const sentence = 'the peer has another cluster secret: give both nodes the same --secret-file';
    expect([textOf(one), textOf(other)]).toEqual([sentence, sentence]);
    // The accepting side has told nothing that the secret could be guessed by.
    expect(said[3].subarray(8)).toEqual(Buffer.alloc(64));
  });

  test('an accepting side that has another secret and accepts everybody', () => {
    const one = connecting();
    const liar = accepting({ secret: OTHER });
    const challenge = feed(liar, one.start().send as Buffer).sent;
    feed(one, challenge);
    const forged = Buffer.from(challenge);
    forged[5] = 4; // ANSWER
    expect(reasonOf(feed(one, forged).outcome)).toBe('otherSecret');
  });

  test('no secret here, one there; and the other way round', () => {
    const poor = talk(connecting({ secret: null }, true), accepting());
    expect(textOf(poor.connecting)).toContain('this side has none: start this side with');
    expect(textOf(poor.accepting)).toContain('the peer has no cluster secret: start it with');
    const rich = talk(connecting(), accepting({ secret: null }));
    expect(textOf(rich.connecting)).toContain('the peer has no cluster secret: start it with');
    expect(textOf(rich.accepting)).toContain('this side has none: start this side with');
  });

  test('a peer that is asked for its secret and says that there is no need', () => {
    const challenge = feed(accepting({ secret: null }), openingOf({ secret: null })).sent;
    const one = connecting();
    one.start();
    expect(reasonOf(feed(one, challenge).outcome)).toBe('noSecret');
  });

  test('frames without a preamble: the peer is told; the first four bytes decide', () => {
    const other = accepting();
    const { used, outcome, sent } = feed(other, Buffer.from('INGF then a HELLO'));
    expect({ used, reason: reasonOf(outcome) }).toEqual({ used: 4, reason: 'noSecret' });
    const silent = connecting({ secret: null });
    expect(silent.start()).toEqual({ send: null, outcome: 'passed' });
    expect(reasonOf(feed(silent, sent).outcome)).toBe('noSecretHere');
  });

  test.each([
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'noSecret', MESSAGE_BYTES],
    ['HTTP', 'GET / HTTP/1.1\r\n\r\n', 'stranger', 0],
    ['RESP', '*1\r\n$4\r\nPING\r\n', 'stranger', 0],
    ['TLS', '\x16\x03\x01\x02\x00', 'noTlsHere', MESSAGE_BYTES],
    ['garbage after the magic', `INGP${'\x01'.repeat(68)}`, 'port', MESSAGE_BYTES],
    ['a newer version', `INGP\x02${'\x01'.repeat(67)}`, 'version', MESSAGE_BYTES],
    ['an ANSWER to nothing', `INGP\x01\x04\x00\x00${'\x01'.repeat(64)}`, 'stranger', 0],
    ['a PROOF without an OPENING', `INGP\x01\x03\x00\x00${'\x01'.repeat(64)}`, 'stranger', 0],
  ])('accepting: %s', (_, text, reason, answerBytes) => {
    const { outcome, sent } = feed(accepting(), Buffer.from(text, 'latin1'), () => 3);
    expect([reasonOf(outcome), sent.length]).toEqual([reason, answerBytes]);
  });

  test.each([
    ['garbage', 'nothing that we know', 'stranger'],
    ['a TLS alert', '\x15\x03\x01\x00\x02\x02\x46', 'noTlsHere'],
    ['an unknown refusal', `INGP\x01\x05\x00\xff${'\x00'.repeat(64)}`, 'stranger'],
    ['an ANSWER without a CHALLENGE', `INGP\x01\x04\x00\x00${'\x00'.repeat(64)}`, 'stranger'],
  ])('connecting: %s', (_, text, reason) => {
    const one = connecting();
    one.start();
    expect(reasonOf(feed(one, Buffer.from(text, 'latin1')).outcome)).toBe(reason);
  });

  test('the other port', () => {
    const ends = talk(connecting({ purpose: 'control' }), accepting());
    expect([ends.connecting, ends.accepting].map(reasonOf)).toEqual(['port', 'port']);
  });

  test('another node than the one that was sought', () => {
    const ends = talk(connecting({ node: 'n2' }), accepting({ node: 'n1' }));
    expect([ends.connecting, ends.accepting].map(reasonOf)).toEqual(['otherNode', 'otherNode']);
  });
});

describe('attacks', () => {
  test('replay: the messages of an old connection prove nothing in a new one', () => {
    const { said } = talk(connecting(), accepting());
    const later = accepting({ nonce: Buffer.alloc(32, 3) });
    feed(later, said[0]);
    expect(reasonOf(feed(later, said[2]).outcome)).toBe('otherSecret');
    const one = connecting({ nonce: Buffer.alloc(32, 4) });
    one.start();
    feed(one, said[1]);
    expect(reasonOf(feed(one, said[3]).outcome)).toBe('otherSecret');
  });

  test("reflection: the connecting side's own proof is no answer", () => {
    const one = connecting();
    one.start();
    const proof = feed(one, feed(accepting(), openingOf()).sent).sent;
    const reflected = Buffer.from(proof);
    reflected[5] = 4; // ANSWER
    expect(reasonOf(feed(one, reflected).outcome)).toBe('otherSecret');
  });

  test('relay: what a node proves to one peer opens no door at another', () => {
    const victim = connecting({ node: 'n2' });
    const third = accepting({ node: 'n3' });
    const challenge = feed(third, victim.start().send as Buffer).sent;
    const proof = feed(victim, challenge).sent;
    expect(reasonOf(feed(third, proof).outcome)).toBe('otherNode');
  });

  test('a proof for the replication port is none for the control port', () => {
    const victim = connecting();
    const opening = Buffer.from(victim.start().send as Buffer);
    opening[6] = 1; // control
    const door = accepting({ purpose: 'control' });
    const challenge = Buffer.from(feed(door, opening).sent);
    challenge[6] = 0; // replication
    const proof = Buffer.from(feed(victim, challenge).sent);
    proof[6] = 1;
    expect(reasonOf(feed(door, proof).outcome)).toBe('otherSecret');
  });
});

test('without secrets both pass, announced or silent', () => {
  const announced = talk(connecting({ secret: null }, true), accepting({ secret: null }));
  expect([announced.connecting, announced.accepting]).toEqual(['passed', 'passed']);
  const other = accepting({ secret: null });
  expect(feed(other, Buffer.from('INGF...'))).toMatchObject({ used: 4, outcome: 'passed' });
  expect(other.leftOver().toString()).toBe('INGF');
});

function openingOf(change: Partial<PreambleOptions> = {}): Buffer {
  return connecting(change, true).start().send as Buffer;
}
