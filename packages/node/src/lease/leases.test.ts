import { describe, expect, test } from 'vitest';
import type { AcceptorSet, ClusterMap, Life } from '../shared/map.ts';
import { mapFoundedBy } from '../control/simulated-cluster.fixture.ts';
import { NotDeadYet } from './authority.ts';
import { CasPaxosLeases, stragglersMs } from './caspaxos-leases.ts';
import type { FenceAnswer } from './fence-calls.ts';
import { type FenceStorage, LeaseKeeper } from './lease-keeper.ts';
import { LeaseHolder } from './lease-holder.ts';
import { leasesContract, type LeasesUnderTest } from './leases-contract.fixture.ts';
import { MemoryLeases } from './memory-leases.ts';

const own: Life = { node: 'n1', incarnation: 3 };
const acceptors: AcceptorSet = {
  current: ['a1', 'a2', 'a3'].map((id, i) => ({ id, node: `n${i + 1}` })),
  next: null,
};

function mapOfLife(): ClusterMap {
  const map = mapFoundedBy('n1', { partitions: 1, copies: 1 });
  const nodes = map.nodes.map((node) => ({ ...node, incarnation: own.incarnation }));
  return { ...map, nodes, acceptors };
}

class KeptFences implements FenceStorage {
  through = 0;

  has({ incarnation }: Life): boolean {
    return incarnation <= this.through;
  }

  async add({ incarnation }: Life): Promise<void> {
    this.through = Math.max(this.through, incarnation);
  }
}

leasesContract('memory', (): LeasesUnderTest => {
  let nowMs = 1_000;
  const clock = (): number => nowMs;
  const leases = new MemoryLeases(acceptors, clock);
  const pass = (ms: number): void => void (nowMs += ms);
  return { leases, acceptors, own, nowMs: clock, pass, restart: () => undefined };
});

leasesContract('caspaxos, one acceptor of three away', (): LeasesUnderTest => {
  let nowMs = 1_000;
  const clock = (): number => nowMs;
  const map = mapOfLife();
  const fences = acceptors.current.map(() => new KeptFences());
  const keepersOf = (): LeaseKeeper[] =>
    acceptors.current.map(
      ({ id }, i) =>
        new LeaseKeeper({ acceptor: id, accepted: () => map, fences: fences[i], nowMs: clock }),
    );
  let keepers = keepersOf();
  const holder = new LeaseHolder({ nowMs: clock, wallMs: clock });
  holder.follow(acceptors);
  const leases = new CasPaxosLeases({
    acceptors: () => acceptors,
    holder,
    beat: () => {
      const beat = holder.sent();
      for (const keeper of keepers.slice(1)) {
        const answer = keeper.hear(own, beat);
        if (answer.kind === 'acked') holder.answered(answer.acceptor, beat, answer.acceptorSet);
        else holder.end();
      }
      return beat;
    },
    later: () => () => undefined,
    calls: {
      fence: async ({ id }, question) => {
        if (id === 'a1') throw new Error('no answer');
        const keeper = keepers[acceptors.current.findIndex((acceptor) => acceptor.id === id)];
        return await keeper.fence(question);
      },
    },
  });
  const pass = (ms: number): void => void (nowMs += ms);
  return {
    leases,
    acceptors,
    own,
    nowMs: clock,
    pass,
    restart: () => void (keepers = keepersOf()),
  };
});

describe('leases: caspaxos: how long a fence is waited for', () => {
  const agreed: FenceAnswer = { kind: 'agreed' };
  const notYet: FenceAnswer = { kind: 'notYet', waitMs: 700 };
  const never = new Promise<FenceAnswer>(() => undefined);

  /** `answers` are those of a1, a2 and a3; `late` lets the time for stragglers pass. */
  function fenceAnswered(...answers: (FenceAnswer | Promise<FenceAnswer>)[]): {
    fence: Promise<AcceptorSet>;
    late: () => void;
  } {
    let late = (): void => undefined;
    const leases = new CasPaxosLeases({
      acceptors: () => acceptors,
      holder: new LeaseHolder({ nowMs: () => 0, wallMs: () => 0 }),
      beat: () => 0,
      calls: { fence: async ({ id }) => await answers[Number(id.slice(1)) - 1] },
      later: (delayMs, then) => {
        expect(delayMs).toBe(stragglersMs);
        late = then;
        return () => undefined;
      },
    });
    return { fence: leases.fence(own), late: () => late() };
  }

  const microtasks = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  test('not for one that does not answer, once the others have said when', async () => {
    const { fence, late } = fenceAnswered(never, notYet, { ...notYet, waitMs: 900 });
    const refused = fence.catch((error: unknown) => error);
    await microtasks();
    late();
    expect(await refused).toMatchObject({ waitMs: 900 - stragglersMs });
  });

  test('not at all once enough agree', async () => {
    const { fence } = fenceAnswered(agreed, never, agreed);
    expect(await fence).toEqual(acceptors);
  });

  test('where one still hears the life, those who do not decide, though they answer later', async () => {
    const slow = Promise.withResolvers<FenceAnswer>();
    const { fence } = fenceAnswered(agreed, notYet, slow.promise);
    await microtasks();
    slow.resolve(agreed);
    expect(await fence).toEqual(acceptors);
  });

  test('as long as it takes where too few have answered', async () => {
    const { fence, late } = fenceAnswered(never, never, notYet);
    const outcome = Promise.race([fence, microtasks().then(late).then(microtasks)]);
    expect(await outcome).toBe(undefined);
  });

  test('who cannot be asked is no reason to ask again soon', async () => {
    const away = async (): Promise<FenceAnswer> => await Promise.reject(new Error('no answer'));
    const { fence } = fenceAnswered(away(), away(), notYet);
    await expect(fence).rejects.toMatchObject({ code: 'NO_MAJORITY' });
    await expect(fenceAnswered(away(), notYet, agreed).fence).rejects.toThrow(NotDeadYet);
  });
});
