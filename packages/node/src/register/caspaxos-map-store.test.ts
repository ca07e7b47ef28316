import { describe, expect, test } from 'vitest';
import type { AcceptorRef, ClusterMap, Life } from '../shared/map.ts';
import type { AcceptorCalls } from './acceptor-calls.ts';
import { MapProposer } from './map-proposer.ts';
import { AcceptorNetwork, storm, type Weather } from './acceptor-network.fixture.ts';
import { CasPaxosMapStore, NoQuorum, phaseTimeoutMs, silencesMax } from './caspaxos-map-store.ts';
import {
  contractMap,
  type Driver,
  mapStoreContract,
  nextOf,
} from './map-store-contract.fixture.ts';

const nodes = ['n1', 'n2', 'n3', 'n4', 'n5'];
const lives: Life[] = ['n1', 'n2', 'n3'].map((node) => ({ node, incarnation: 1 }));

const refs = (...names: string[]): AcceptorRef[] =>
  names.map((node) => ({ id: `a-${node}`, node }));

function mapDecidedBy(current: string[], next: string[] | null = null): ClusterMap {
  const acceptors = { current: refs(...current), next: next === null ? null : refs(...next) };
  return { ...contractMap, acceptors };
}

function driverOf(
  name: string,
  [current, next]: [string[], string[] | null],
  { weather, seed = 1 }: { weather?: Weather; seed?: number } = {},
): Driver {
  return {
    name,
    isLossy: weather !== undefined,
    open: async (first) => {
      const map = { ...first, acceptors: mapDecidedBy(current, next).acceptors };
      const network = AcceptorNetwork.of(nodes, map, { seed, ...(weather && { weather }) });
      const [a, b, c] = lives.map((life) => network.store(map.acceptors, life));
      return {
        stores: [a, b, c],
        settled: (promise) => network.settled(promise),
        close: async () => undefined,
      };
    },
  };
}

mapStoreContract(driverOf('caspaxos, one acceptor', [['n1'], null]));
mapStoreContract(driverOf('caspaxos, three', [['n1', 'n2', 'n3'], null]));
mapStoreContract(driverOf('caspaxos, one becomes three', [['n1'], ['n1', 'n2', 'n3']]));
mapStoreContract(driverOf('caspaxos, five become others', [nodes, ['n1', 'n2', 'n3']]));
for (const seed of [1, 2, 3]) {
  const name = `caspaxos, three, in a storm from seed ${seed}`;
  mapStoreContract(driverOf(name, [['n1', 'n2', 'n3'], null], { weather: storm, seed }));
}

describe('caspaxos: quorums', () => {
  test('goes on without a minority, and is told by none without a majority', async () => {
    const map = mapDecidedBy(['n1', 'n2', 'n3']);
    const network = AcceptorNetwork.of(nodes, map);
    const store = network.store(map.acceptors);
    network.stop('n3');
    expect((await network.settled(store.read())).version).toBe(1n);
    network.stop('n2');
    await expect(network.settled(store.read())).rejects.toThrow(NoQuorum);
    const proposal = store.compareAndSet(1n, nextOf(map, 'a'), 'a');
    expect(await network.settled(proposal)).toBe('unknown');
  });

  test('an acceptor that went back in time makes nobody forget what was chosen', async () => {
    const map = mapDecidedBy(['n1', 'n2', 'n3']);
    const network = AcceptorNetwork.of(nodes, map);
    const store = network.store(map.acceptors);
    network.stop('n3');
    expect(await network.settled(store.compareAndSet(1n, nextOf(map, 'a'), 'a'))).toBe('ok');
    network.start('n3');
    network.putBack('n2', map);
    network.stop('n1');
    await expect(network.settled(store.read())).rejects.toThrow('forgotten map version 2');
    network.start('n1');
    network.stop('n3');
    expect((await network.settled(store.read())).version).toBe(2n);
  });

  test('of a joint set both halves must agree', async () => {
    const map = mapDecidedBy(['n1', 'n2', 'n3'], ['n3', 'n4', 'n5']);
    const network = AcceptorNetwork.of(nodes, map);
    const store = network.store(map.acceptors);
    await network.settled(store.read());
    network.stop('n4');
    await network.settled(store.read());
    network.stop('n5');
    await expect(network.settled(store.read())).rejects.toThrow(/n5: no answer/);
    network.start('n5');
    network.stop('n1');
    network.stop('n2');
    await expect(network.settled(store.read())).rejects.toThrow(NoQuorum);
  });

  test('an acceptor that lost its disk has no say', async () => {
    const map = mapDecidedBy(['n1', 'n2', 'n3']);
    const network = AcceptorNetwork.of(nodes, map);
    const store = network.store(map.acceptors);
    network.wipe('n2', 'reborn');
    await network.settled(store.read());
    network.wipe('n3', 'reborn too');
    await expect(network.settled(store.read())).rejects.toThrow(/another acceptor is there/);
  });

  test('what one round chose is there when other acceptors answer the next', async () => {
    const map = mapDecidedBy(['n1', 'n2', 'n3']);
    const network = AcceptorNetwork.of(nodes, map);
    const store = network.store(map.acceptors);
    network.stop('n1');
    expect(await network.settled(store.compareAndSet(1n, nextOf(map, 'a'), 'a'))).toBe('ok');
    network.start('n1');
    network.stop('n2');
    const { map: read } = await network.settled(network.store(map.acceptors).read());
    expect(read.operations.tester).toBe('a');
  });
});

describe('caspaxos: change of the acceptors', () => {
  const one = mapDecidedBy(['n1']);

  /** The next map, decided by others from then on. */
  function movedTo(map: ClusterMap, current: string[], next: string[] | null): ClusterMap {
    const { acceptors } = mapDecidedBy(current, next);
    return { ...nextOf(map, `at ${map.version}`), acceptors };
  }

  test('whoever asks the former ones is led to those that the map names', async () => {
    const network = AcceptorNetwork.of(nodes, one);
    const store = network.store(one.acceptors);
    const late = network.store(one.acceptors, lives[1]);
    const joint = movedTo(one, ['n1'], ['n1', 'n2', 'n3']);
    await network.settled(store.compareAndSet(1n, joint, 'at 1'));
    const final = movedTo(joint, ['n1', 'n2', 'n3'], null);
    await network.settled(store.compareAndSet(2n, final, 'at 2'));
    const after = await network.settled(late.read());
    expect(after.map.acceptors).toEqual(final.acceptors);
    network.stop('n1');
    expect((await network.settled(late.read())).version).toBe(3n);
    expect(network.acceptor('n2').accepted?.version).toBe(3);
  });

  test('a set is left for another only through a joint one', async () => {
    const network = AcceptorNetwork.of(nodes, one);
    const store = network.store(one.acceptors);
    const jump = movedTo(one, ['n1', 'n2', 'n3'], null);
    const refused = network.settled(store.compareAndSet(1n, jump, 'at 1'));
    await expect(refused).rejects.toThrow(/joint set/);
    expect((await network.settled(store.read())).version).toBe(1n);
  });

  test('a last step that only a few have accepted, of a proposer that is gone, is finished', async () => {
    const joint = mapDecidedBy(['n1'], ['n2']);
    const network = AcceptorNetwork.of(nodes, joint);
    await network.settled(network.store(joint.acceptors).read());
    const final = movedTo(joint, ['n2'], null);
    const ballot = { round: 50, proposer: 'gone' };
    await network.acceptor('n1').accept(lives[2], ballot, final);
    expect((await network.settled(network.store(joint.acceptors).read())).version).toBe(2n);
    network.stop('n1');
    const { map } = await network.settled(network.store(final.acceptors).read());
    expect(map).toEqual(final);
  });

  test('a first step that only a few have accepted comes about or not, for everybody alike', async () => {
    const map = mapDecidedBy(['n1', 'n2', 'n3']);
    const network = AcceptorNetwork.of(nodes, map);
    const joint = movedTo(map, ['n1', 'n2', 'n3'], ['n1', 'n2', 'n4']);
    const ballot = { round: 50, proposer: 'gone' };
    await network.acceptor('n3').accept(lives[2], ballot, joint);
    const { version } = await network.settled(network.store(map.acceptors).read());
    for (const down of ['n1', 'n2', 'n3']) {
      network.stop(down);
      const again = await network.settled(network.store(map.acceptors, lives[1]).read());
      expect(again.version).toBe(version);
      network.start(down);
    }
  });

  test('a map of the same acceptors in another order is no other set', async () => {
    const map = mapDecidedBy(['n1', 'n2', 'n3']);
    const network = AcceptorNetwork.of(nodes, map);
    const { acceptors } = mapDecidedBy(['n3', 'n1', 'n2']);
    expect((await network.settled(network.store(acceptors).read())).version).toBe(1n);
  });

  test('a set with the same nodes and another acceptor is another set', async () => {
    const map = mapDecidedBy(['n1', 'n2', 'n3']);
    const network = AcceptorNetwork.of(nodes, map);
    const former = { ...map.acceptors, current: [...refs('n1', 'n2'), { id: 'old', node: 'n3' }] };
    const asked: string[] = [];
    const calls = network.calls();
    const store = new CasPaxosMapStore({
      calls: {
        ...calls,
        accept: (to, ...rest) => {
          asked.push(to.id);
          return calls.accept(to, ...rest);
        },
      },
      life: () => lives[0],
      proposer: 'n1:x',
      acceptors: former,
      later: network.later,
      random: network.random,
    });
    await network.settled(store.read());
    expect(asked.toSorted()).toEqual(['a-n1', 'a-n2', 'a-n3']);
  });
});

describe('caspaxos: lives', () => {
  const map = mapDecidedBy(['n1', 'n2', 'n3']);

  test('a life that is fenced by a majority has no say any more', async () => {
    const network = AcceptorNetwork.of(nodes, map);
    const store = network.store(map.acceptors);
    const fenced = lives[0];
    await network.acceptor('n1').fence(fenced);
    expect((await network.settled(store.read())).version).toBe(1n);
    await network.acceptor('n2').fence(fenced);
    const retired = { code: 'RETIRED' };
    await expect(network.settled(store.read())).rejects.toMatchObject(retired);
    const proposal = network.settled(store.compareAndSet(1n, nextOf(map, 'a'), 'a'));
    await expect(proposal).rejects.toMatchObject(retired);
  });

  test('whose proposal was on its way when the fence came cannot know what became of it', async () => {
    const network = AcceptorNetwork.of(nodes, map);
    const calls = network.calls();
    const store = new CasPaxosMapStore({
      calls: {
        ...calls,
        accept: async (to, ...rest) => {
          await network.acceptor(to.node).fence(lives[0]);
          return calls.accept(to, ...rest);
        },
      },
      life: () => lives[0],
      proposer: 'n1:x',
      acceptors: map.acceptors,
      later: network.later,
      random: network.random,
    });
    const proposal = store.compareAndSet(1n, nextOf(map, 'a'), 'a');
    expect(await network.settled(proposal)).toBe('unknown');
  });

  test('the next life of the node does not carry on what the last one proposed', async () => {
    const network = AcceptorNetwork.of(nodes, map);
    const calls = network.calls();
    let [life] = lives;
    const store = new CasPaxosMapStore({
      calls: {
        ...calls,
        prepare: async (to, ...rest) => {
          const answer = await calls.prepare(to, ...rest);
          await network.acceptor(to.node).fence(lives[0]);
          life = { ...lives[0], incarnation: 2 };
          return answer;
        },
      },
      life: () => life,
      proposer: 'n1:x',
      acceptors: map.acceptors,
      later: network.later,
      random: network.random,
    });
    const proposal = store.compareAndSet(1n, nextOf(map, 'a'), 'a');
    expect(await network.settled(proposal)).toBe('unknown');
    expect((await network.settled(store.read())).version).toBe(1n);
  });
});

describe('caspaxos: what became of a proposal', () => {
  const map = mapDecidedBy(['n1', 'n2', 'n3']);

  /** A store whose answers to Accept are lost while `isLosing`. */
  function storeThatLoses(network: AcceptorNetwork): { store: CasPaxosMapStore; lose: Lose } {
    const calls = network.calls();
    const lose: Lose = { answers: 0 };
    const deaf: AcceptorCalls = {
      ...calls,
      accept: async (...request) => {
        const answer = await calls.accept(...request);
        return lose.answers-- > 0 ? new Promise(() => undefined) : answer;
      },
    };
    const store = new CasPaxosMapStore({
      calls: deaf,
      life: () => lives[0],
      proposer: 'n1:x',
      acceptors: map.acceptors,
      later: network.later,
      random: network.random,
    });
    return { store, lose };
  }

  interface Lose {
    answers: number;
  }

  test('accepted, and not heard of in time: unknown, never conflict', async () => {
    const network = AcceptorNetwork.of(nodes, map);
    const { store, lose } = storeThatLoses(network);
    lose.answers = 3 * silencesMax;
    const proposal = store.compareAndSet(1n, nextOf(map, 'a'), 'a');
    expect(await network.settled(proposal)).toBe('unknown');
    const { map: settled } = await network.settled(store.read());
    expect(settled.operations.tester).toBe('a');
  });

  test('accepted, answers lost once: found again in the next round, ok', async () => {
    const network = AcceptorNetwork.of(nodes, map);
    const { store, lose } = storeThatLoses(network);
    lose.answers = 3;
    const proposal = store.compareAndSet(1n, nextOf(map, 'a'), 'a');
    expect(await network.settled(proposal)).toBe('ok');
    expect((await network.settled(store.read())).version).toBe(2n);
  });

  test('accepted, answers lost, and another has built on it: ok all the same', async () => {
    const network = AcceptorNetwork.of(nodes, map);
    const { store, lose } = storeThatLoses(network);
    const rival = new MapProposer(network.store(map.acceptors, lives[1]), 'rival', () => 'b');
    lose.answers = 3;
    const proposal = store.compareAndSet(1n, nextOf(map, 'a'), 'a');
    const { promise: accepted, resolve } = Promise.withResolvers<void>();
    network.later(phaseTimeoutMs / 2, resolve);
    await network.settled(accepted);
    const built = await network.settled(rival.propose((current) => ({ ...current, minIsr: 3 })));
    expect(built.operations).toEqual({ tester: 'a', rival: 'b' });
    expect(await network.settled(proposal)).toBe('ok');
    expect((await network.settled(store.read())).version).toBe(3n);
  });

  test('accepted by one, overtaken by another: conflict is final', async () => {
    const network = AcceptorNetwork.of(nodes, map);
    const calls = network.calls();
    const rival = network.store(map.acceptors, lives[1]);
    let isFirst = true;
    const store = new CasPaxosMapStore({
      calls: {
        ...calls,
        // The first round reaches one acceptor, then the rival gets in between.
        accept: async (to, ...request) => {
          if (!isFirst || to.node === 'n1') return calls.accept(to, ...request);
          if (to.node === 'n2') {
            await rival.compareAndSet(1n, nextOf(map, 'b'), 'b');
            isFirst = false;
          }
          throw new Error('cut');
        },
      },
      life: () => lives[0],
      proposer: 'n1:x',
      acceptors: map.acceptors,
      later: network.later,
      random: network.random,
    });
    const outcome = await network.settled(store.compareAndSet(1n, nextOf(map, 'a'), 'a'));
    for (const down of ['n1', 'n2', 'n3']) {
      network.stop(down);
      const { map: read } = await network.settled(network.store(map.acceptors).read());
      expect(read.operations.tester).toBe(outcome === 'ok' ? 'a' : 'b');
      network.start(down);
    }
  });
});

describe('caspaxos: one proposer', () => {
  test('is outbid by nobody but others, however much is asked of it at once', async () => {
    const map = mapDecidedBy(['n1', 'n2', 'n3']);
    const network = AcceptorNetwork.of(nodes, map);
    const calls = network.calls();
    let prepares = 0;
    const store = new CasPaxosMapStore({
      calls: {
        ...calls,
        prepare: (...request) => {
          prepares++;
          return calls.prepare(...request);
        },
      },
      life: () => lives[0],
      proposer: 'n1:x',
      acceptors: map.acceptors,
      later: network.later,
      random: network.random,
    });
    const proposal = store.compareAndSet(1n, nextOf(map, 'a'), 'a');
    const reads = [store.read(), store.read(), store.read()];
    await network.settled(Promise.all([proposal, ...reads]));
    // One round for the proposal, one for all the reads.
    expect(prepares).toBe(2 * 3);
  });

  test('tells of each map that is chosen, once', async () => {
    const map = mapDecidedBy(['n1', 'n2', 'n3']);
    const network = AcceptorNetwork.of(nodes, map);
    const told: number[] = [];
    const store = network.store(map.acceptors, lives[0], ({ version }) => told.push(version));
    await network.settled(store.read());
    await network.settled(store.read());
    await network.settled(store.compareAndSet(1n, nextOf(map, 'a'), 'a'));
    expect(told).toEqual([1, 2]);
    store.learn({ ...map, version: 7 });
    store.learn({ ...map, version: 5 });
    expect(store.known?.version).toBe(7);
    expect(told).toEqual([1, 2]);
  });

  test('with a disk that lost its map there is nothing to read', async () => {
    const map = mapDecidedBy(['n1']);
    const network = AcceptorNetwork.of(nodes, map);
    network.wipe('n1', 'a-n1');
    await expect(network.settled(network.store(map.acceptors).read())).rejects.toThrow(
      /no map has been accepted/,
    );
  });
});
