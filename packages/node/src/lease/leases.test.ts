import type { AcceptorSet, ClusterMap, Life } from '../shared/map.ts';
import { mapFoundedBy } from '../control/simulated-cluster.fixture.ts';
import { CasPaxosLeases } from './caspaxos-leases.ts';
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
