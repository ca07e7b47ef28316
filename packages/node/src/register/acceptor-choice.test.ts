import { describe, expect, test } from 'vitest';
import { mapFoundedBy } from '../control/simulated-cluster.fixture.ts';
import type { AcceptorRef, ClusterMap, MapNode } from '../shared/map.ts';
import { nextAcceptors } from './acceptor-choice.ts';

const [founder] = mapFoundedBy('n1', { partitions: 1, copies: 1 }).nodes;

/** Nodes as `id`, `id@host`, or either with `-` in front where the node is down. */
function mapOf(nodes: string[], current: string[], next: string[] | null = null): ClusterMap {
  return {
    ...mapFoundedBy('n1', { partitions: 1, copies: 1 }),
    nodes: nodes.map(nodeOf),
    acceptors: { current: current.map(refOf), next: next?.map(refOf) ?? null },
  };
}

function nodeOf(text: string): MapNode {
  const [id, advertise = '127.0.0.1'] = text.replace('-', '').split('@');
  const state = text.startsWith('-') ? 'down' : 'up';
  return { ...founder, id, state, advertise, acceptor: `a-${id}` };
}

const refOf = (node: string): AcceptorRef => ({ id: `a-${node}`, node });

const nobody = (): boolean => false;

/** The half that a change leads to, by node; null where there is none to make. */
function changeOf(map: ClusterMap, gone: string[] = []): string[] | null {
  const changed = nextAcceptors(map, (node) => gone.includes(node));
  if (changed === map.acceptors) return null;
  expect(changed.current).toEqual(map.acceptors.current);
  return changed.next?.map(({ node }) => node) ?? null;
}

describe('choice of acceptors', () => {
  test('an observer has no voice, however few others there are', () => {
    const { nodes, ...rest } = mapOf(['n1', 'n2', 'n3', 'n4'], ['n1']);
    const two = nodes.map((node) => ({ ...node, observer: node.id > 'n2' }));
    expect(changeOf({ ...rest, nodes: two })).toBeNull();
    const three = nodes.map((node) => ({ ...node, observer: node.id === 'n2' }));
    expect(changeOf({ ...rest, nodes: three })).toEqual(['n1', 'n3', 'n4']);
  });

  test('one of one or two nodes, three from three on, five from five on', () => {
    const names = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6'];
    const grown = names.map((_, count) => changeOf(mapOf(names.slice(0, count + 1), ['n1'])));
    expect(grown.map((chosen) => chosen?.length ?? null)).toEqual([null, null, 3, 3, 5, 5]);
  });

  test('who has a voice keeps it while more nodes join', () => {
    expect(changeOf(mapOf(['n1', 'n2', 'n3', 'n4'], ['n1', 'n2', 'n4']))).toBeNull();
    const five = mapOf(['n1', 'n2', 'n3', 'n4', 'n5'], ['n4', 'n2', 'n3']);
    expect(changeOf(five)).toEqual(['n4', 'n2', 'n3', 'n1', 'n5']);
  });

  test('a node that is down keeps its voice, and is given none', () => {
    expect(changeOf(mapOf(['n1', 'n2', '-n3'], ['n1', 'n2', 'n3']))).toBeNull();
    expect(changeOf(mapOf(['n1', 'n2', '-n3'], ['n1']))).toBeNull();
  });

  test('who is gone for good is replaced, or the set shrinks', () => {
    const four = mapOf(['n1', 'n2', '-n3', 'n4'], ['n1', 'n2', 'n3']);
    expect(changeOf(four, ['n3'])).toEqual(['n1', 'n2', 'n4']);
    const three = mapOf(['-n1', 'n2', 'n3'], ['n1', 'n2', 'n3']);
    expect(changeOf(three, ['n1'])).toEqual(['n2']);
    expect(changeOf(mapOf(['n2', 'n3', 'n4'], ['n1', 'n2', 'n3']))).toEqual(['n2', 'n3', 'n4']);
  });

  test('a disk that was wiped holds another acceptor', () => {
    const map = mapOf(['n1', 'n2', 'n3'], ['n1', 'n2', 'n3']);
    const wiped = { ...map.nodes[2], acceptor: 'reborn' };
    const reborn = { ...map, nodes: [...map.nodes.slice(0, 2), wiped] };
    const changed = nextAcceptors(reborn, nobody);
    expect(changed.next).toEqual([refOf('n1'), refOf('n2'), { id: 'reborn', node: 'n3' }]);
  });

  test('other hosts come first', () => {
    const map = mapOf(['n1@h1', 'n2@h1', 'n3@h1', 'n4@h2', 'n5@h3', 'n6@h2'], ['n1']);
    const [, ...others] = changeOf(map) ?? [];
    expect(others.slice(0, 2)).toEqual(['n4', 'n5']);
  });

  test('a set that shrinks keeps those that are up, and never one that could not answer', () => {
    const three = ['n1', 'n2', 'n3'];
    expect(changeOf(mapOf(['-n1', 'n2', 'n3'], three), ['n3'])).toEqual(['n2']);
    expect(changeOf(mapOf(['-n1', '-n2', 'n3'], three), ['n3'])).toBeNull();
  });

  test('a joint set is left for its new half, whatever else is due', () => {
    const map = mapOf(['n1', 'n2', 'n3', 'n4', 'n5'], ['n1'], ['n1', 'n2', 'n3']);
    expect(nextAcceptors(map, nobody)).toEqual({
      current: ['n1', 'n2', 'n3'].map(refOf),
      next: null,
    });
  });
});
