import { describe, expect, test } from 'vitest';
import { firstPorts } from '../shared/map.fixture.ts';
import type { ClusterMap, Life, NodeId } from '../shared/map.ts';
import { mapFoundedBy } from './simulated-cluster.fixture.ts';
import {
  decidersOf,
  isSameCase,
  type Patience,
  patienceAfter,
  returnPatienceMs,
  type SealAnswer,
  successionOf,
  vacancyPatienceMs,
} from './succession.ts';

const n1: Life = { node: 'n1', incarnation: 1 };

function life(text: string): Life {
  const [node, incarnation = '1'] = text.split(':');
  return { node, incarnation: Number(incarnation) };
}

/** n1 leads partition 0 and is the life that ends; n2 to n4 follow. */
interface Given {
  inSync: string;
  /** `node epoch/applied`, with `*` where it was read from a disk, `node torn`, `node none`; whoever is missing did not
   *  answer. */
  answers: string;
  unclean?: boolean;
  patience?: Patience;
  down?: string;
  /** Of those that are down: because they were told to. */
  stopped?: string;
  followers?: string;
  /** The primary is gone for longer. */
  vacant?: boolean;
  leads?: Record<NodeId, number>;
}

function mapOf({
  inSync,
  unclean,
  down = '',
  stopped = '',
  followers = 'n2 n3 n4',
  vacant,
}: Given): ClusterMap {
  const founded = mapFoundedBy('n1', {
    partitions: 1,
    copies: 4,
    uncleanFailover: unclean ?? true,
  });
  const [founder] = founded.nodes;
  const nodes = ['n1', 'n2', 'n3', 'n4'].map((id) => {
    const isDown = down.split(' ').includes(id);
    const state = isDown ? ('down' as const) : ('up' as const);
    return { ...founder, id, state, fencedThrough: isDown ? 1 : 0, ports: firstPorts };
  });
  const entry = {
    ...founded.placement[0],
    epoch: 7,
    primary: vacant === true ? null : 'n1',
    followers: followers.split(' ').filter((id) => id !== ''),
    inSync: inSync
      .split(' ')
      .filter((name) => name !== '')
      .map(life),
  };
  const stopping = stopped
    .split(' ')
    .filter((id) => id !== '')
    .map((node) => ({ node, incarnation: 1, sinceMs: 1 }));
  return { ...founded, nodes, placement: [entry], wishes: { ...founded.wishes, stopping } };
}

function answersOf(text: string): Map<NodeId, SealAnswer> {
  const answers = new Map<NodeId, SealAnswer>();
  for (const word of text.split(', ').filter((part) => part !== '')) {
    const [name, state] = word.split(' ');
    const { node, incarnation } = life(name);
    const [epoch, applied] = state.replace('*', '').split('/').map(Number);
    const recovered = state.endsWith('*');
    const copy =
      state === 'torn' ? { epoch: 7, applied: 99, consistent: false, recovered } : undefined;
    const whole = { epoch, applied, consistent: true, recovered };
    const held = state === 'none' ? [] : [[0, { id: 0, ...(copy ?? whole) }] as const];
    answers.set(node, { incarnation, copies: new Map(held) });
  }
  return answers;
}

function outcomeOf(given: Given): string {
  const succession = successionOf(mapOf(given), {
    partition: 0,
    former: given.vacant === true ? null : n1,
    answers: answersOf(given.answers),
    leads: (node) => given.leads?.[node] ?? 0,
    patience: given.patience ?? 'full',
    preferred: 'n3',
  });
  if (succession.kind === 'wait') return 'wait';
  if (succession.kind === 'lost') return `lost ${succession.leader}`;
  const inSync = succession.inSync.map(({ node }) => node).join(' ');
  return `${succession.kind} ${succession.leader} (${inSync})`;
}

const cases: [what: string, given: Given, outcome: string][] = [
  [
    'of those in sync the one that got furthest',
    { inSync: 'n1 n2 n3', answers: 'n2 7/5, n3 7/6, n4 7/4' },
    'inSync n3 (n2 n3)',
  ],
  [
    'a later epoch goes before a higher seq',
    { inSync: 'n1 n2 n3', answers: 'n2 7/5, n3 6/90' },
    'inSync n2 (n2 n3)',
  ],
  [
    'who is not in sync does not lead, however far it got',
    { inSync: 'n1 n2', answers: 'n2 7/5, n3 7/9' },
    'inSync n2 (n2)',
  ],
  [
    'one in sync is enough; who does not answer is out',
    { inSync: 'n1 n2 n3', answers: 'n2 7/5' },
    'inSync n2 (n2)',
  ],
  [
    'of equals the one that leads less',
    { inSync: 'n1 n2 n3', answers: 'n2 7/5, n3 7/5', leads: { n2: 3, n3: 2 } },
    'inSync n3 (n2 n3)',
  ],
  [
    'a torn copy never leads, in sync or not',
    { inSync: 'n1 n2 n3', answers: 'n2 torn, n3 7/5' },
    'inSync n3 (n3)',
  ],
  [
    'a later life of a node in sync is not in sync',
    { inSync: 'n1 n2', answers: 'n2:2 7/9, n3 7/5', unclean: false },
    'wait',
  ],
  [
    'a life in sync that may yet answer is waited for',
    { inSync: 'n1 n2', answers: 'n3 7/5' },
    'wait',
  ],
  [
    '... for some time, where loss is allowed',
    { inSync: 'n1 n2', answers: 'n3 7/5', patience: 'none' },
    'lossy n3 (n3)',
  ],
  [
    '... and for ever, where it is not',
    { inSync: 'n1 n2', answers: 'n3 7/5', patience: 'none', unclean: false },
    'wait',
  ],
  [
    'where all in sync are over, the best consistent copy, marked lossy',
    { inSync: 'n1 n2', answers: 'n3 7/5, n4 7/6', down: 'n2' },
    'lossy n4 (n4)',
  ],
  [
    '... but not where loss is not allowed',
    { inSync: 'n1 n2', answers: 'n3 7/5, n4 7/6', down: 'n2', unclean: false },
    'wait',
  ],
  [
    'an empty copy does not lead as long as another may come back',
    { inSync: 'n1', answers: 'n2 none, n3 torn, n4 none' },
    'wait',
  ],
  [
    '... then the partition begins again on the node that is to lead it',
    { inSync: '', answers: 'n2 none, n3 none, n4 torn', vacant: true },
    'lost n3',
  ],
  [
    '... at once where every node that held a copy has said that it is gone',
    { inSync: '', answers: 'n2 none', followers: 'n2', vacant: true },
    'lost n2',
  ],
  [
    '... not before the others were waited for',
    { inSync: '', answers: 'n2 none', followers: 'n2 n4', down: 'n4', vacant: true },
    'wait',
  ],
  [
    '... nor ever where loss is not allowed',
    {
      inSync: '',
      answers: 'n2 none',
      followers: 'n2',
      vacant: true,
      patience: 'none',
      unclean: false,
    },
    'wait',
  ],
  [
    'with no copy listed any more the node that is to lead it begins again',
    { inSync: '', answers: '', followers: '', vacant: true, patience: 'none' },
    'lost n3',
  ],
  [
    'a copy from a disk does not lead before all in sync have said what they have',
    { inSync: 'n2 n3', answers: 'n2 7/5*', down: 'n1 n3', vacant: true },
    'wait',
  ],
  [
    '... not when a life that goes on would have answered, but a process may yet start again',
    { inSync: 'n2 n3', answers: 'n2 7/5*', down: 'n1 n3', vacant: true, patience: 'disks' },
    'wait',
  ],
  [
    '... only once that was waited for',
    { inSync: 'n2 n3', answers: 'n2 7/5*', down: 'n1 n3', vacant: true, patience: 'none' },
    'inSync n2 (n2)',
  ],
  [
    '... nor where loss is not allowed',
    { inSync: 'n2 n3', answers: 'n2 7/5*', down: 'n1 n3', vacant: true, unclean: false },
    'wait',
  ],
  [
    '... and once they have, the one that has most leads',
    { inSync: 'n2 n3', answers: 'n2 7/5*, n3 7/6*', down: 'n1', vacant: true },
    'inSync n3 (n2 n3)',
  ],
  [
    '... also where one in sync came back with an older one',
    { inSync: 'n2', answers: 'n2 7/5*, n3:2 7/3*', down: 'n1', vacant: true },
    'inSync n2 (n2)',
  ],
  [
    'a copy that was kept in memory waits for nobody',
    { inSync: 'n2 n3', answers: 'n2 7/5, n4 7/9*', down: 'n3', vacant: true },
    'inSync n2 (n2)',
  ],
  [
    'who is not in sync and read from a disk waits for all that hold a copy',
    { inSync: 'n1', answers: 'n2 7/5*, n3 7/4*', down: 'n1 n4', vacant: true, patience: 'disks' },
    'wait',
  ],
  [
    '... but for who was stopped when it was not in sync any more',
    { inSync: '', answers: 'n2 7/5*, n3 7/4*', down: 'n1 n4', stopped: 'n4', vacant: true },
    'lossy n2 (n2)',
  ],
  [
    '... and leads where all have answered',
    { inSync: '', answers: 'n2 7/5*, n3 7/4*, n4 none', down: 'n1', vacant: true },
    'lossy n2 (n2)',
  ],
  [
    '... or were waited for',
    { inSync: 'n1', answers: 'n2 7/5*, n3 7/4*', down: 'n1 n4', vacant: true, patience: 'none' },
    'lossy n2 (n2)',
  ],
  [
    'nobody begins again while a process may bring back its copy',
    { inSync: 'n2', answers: 'n3 none, n4 none', down: 'n2', vacant: true, patience: 'disks' },
    'wait',
  ],
  [
    'nobody begins again on a node that is down',
    { inSync: '', answers: '', followers: 'n2', down: 'n2', vacant: true, patience: 'none' },
    'wait',
  ],
];

describe('succession', () => {
  test.each(cases)('%s', (_, given, outcome) => {
    expect(outcomeOf(given)).toBe(outcome);
  });

  test('patience ends sooner where nothing is saved that could come back', () => {
    const after = (vacantMs: number) =>
      [true, false].map((saves) => patienceAfter(vacantMs, saves));
    expect(after(vacancyPatienceMs - 1)).toEqual(['full', 'full']);
    expect(after(vacancyPatienceMs)).toEqual(['disks', 'none']);
    expect(after(returnPatienceMs)).toEqual(['none', 'none']);
  });

  test('those decide who are in sync, and where nobody is everybody who is up', () => {
    const deciders = (given: Given) => decidersOf(mapOf(given), 0, n1);
    expect(deciders({ inSync: 'n1 n2', answers: '' })).toEqual(['n2']);
    expect(deciders({ inSync: 'n1', answers: '', down: 'n3' })).toEqual(['n2', 'n4']);
    expect(deciders({ inSync: 'n1 n2:2', answers: '' })).toEqual(['n2', 'n3', 'n4']);
  });

  test('a choice holds for an entry with the same epoch, primary, copies and lives in sync', () => {
    const [entry] = mapOf({ inSync: 'n1 n2', answers: '' }).placement;
    expect(isSameCase(entry, { ...entry, lossy: true })).toBe(true);
    expect(isSameCase(entry, { ...entry, followers: ['n4', 'n2', 'n3'] })).toBe(true);
    expect(isSameCase(entry, { ...entry, epoch: 8 })).toBe(false);
    expect(isSameCase(entry, { ...entry, primary: null })).toBe(false);
    expect(isSameCase(entry, { ...entry, inSync: [n1, life('n2:2')] })).toBe(false);
    expect(isSameCase(entry, { ...entry, inSync: [n1, life('n2'), life('n3')] })).toBe(false);
    expect(isSameCase(entry, { ...entry, followers: ['n2', 'n3'] })).toBe(false);
  });
});
