/** The three-node figure beside the one-node figure: three nodes with two copies of everything cost all their CPU
 *  together, followers' and forwarding included. */

import { figure } from '../stream/text-table.ts';
import { type Command, costOf, startCluster, type Target } from './cluster-load.ts';
import { Figures, type Group, inTurn, times } from './group.ts';

const COPIES = 2;
const PIPELINE = 16;
const OPERATIONS = 500_000;
const COMMANDS: readonly Command[] = ['GET', 'SET'];

interface Side {
  readonly name: string;
  readonly pids: readonly number[];
  readonly targets: readonly Target[];
}

export const THREE_NODES: Group = {
  name: 'nodes',
  measure: async ({ keys, rounds, progress }, pair) => {
    const { ingot } = await pair();
    const { cluster, keysOf } = await startCluster(COPIES, keys);
    try {
      const { nodes } = cluster;
      const all = Array.from({ length: keys }, (_, i) => i);
      const pids = nodes.map(({ pid }) => pid);
      const sides: Side[] = [
        { name: 'one', pids: [ingot.pid], targets: [{ port: ingot.port, keys: all }] },
        {
          name: 'owners',
          pids,
          targets: nodes.map(({ id, ports }) => ({
            port: ports.cluster,
            keys: keysOf.get(id) as number[],
          })),
        },
        { name: 'first', pids, targets: [{ port: nodes[0].ports.client, keys: all }] },
      ];
      const figures = new Figures();
      for (let round = 0; round < rounds; round++) {
        for (const command of COMMANDS) {
          for (const { name, pids, targets } of inTurn(sides, round)) {
            const micros = await costOf(pids, targets, command, PIPELINE, OPERATIONS);
            figures.add(`${name} ${command}`, micros);
            progress(`${name}, ${command} pipeline ${PIPELINE}: ${figure(micros)} µs of CPU`);
          }
        }
      }
      const rows = COMMANDS.map((command) => {
        const [one, owners, first] = sides.map(({ name }) => figures.median(`${name} ${command}`));
        return [
          `${command} pipeline ${PIPELINE}`,
          ...[one, owners].map((micros) => micros.toFixed(2)),
          times(owners / one),
          first.toFixed(2),
          times(first / one),
        ];
      });
      const head = [
        ...['what', 'one node, µs/op', 'three, cluster client', 'to one'],
        ...['three, plain client', 'to one'],
      ];
      return [{ title: `One node beside three with ${COPIES} copies of everything`, head, rows }];
    } finally {
      await cluster.stop();
    }
  },
};
