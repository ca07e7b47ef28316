/** What a forwarded command costs: three nodes with one copy of everything, and a client that sends keys of the second
 *  and the third through the first, beside one that sends them to their owners. CPU of all three nodes per command. */

import { hitRatio } from '../load.ts';
import { figure } from '../stream/text-table.ts';
import { type Command, costOf, startCluster, type Target } from './cluster-load.ts';
import { Figures, type Group, inTurn, times } from './group.ts';

const OPERATIONS: Readonly<Record<number, number>> = { 1: 100_000, 16: 500_000, 64: 1_000_000 };
const ASKED = '2x or less';

export const FORWARDING: Group = {
  name: 'forwarding',
  measure: async ({ keys, rounds, pipelines, progress }) => {
    const { cluster, keysOf } = await startCluster(1, keys);
    try {
      const [first, ...owners] = cluster.nodes;
      const pids = cluster.nodes.map(({ pid }) => pid);
      const direct: Target[] = owners.map(({ id, ports }) => ({
        port: ports.cluster,
        keys: keysOf.get(id) as number[],
      }));
      const forwarded: Target[] = [
        { port: first.ports.client, keys: direct.flatMap((target) => target.keys) },
      ];
      const sides = [
        { name: 'cluster client', targets: direct },
        { name: 'plain client', targets: forwarded },
      ];
      const figures = new Figures();
      const cases = pipelines.flatMap((pipeline) =>
        (['GET', 'SET'] as const).map((command): [Command, number] => [command, pipeline]),
      );
      for (let round = 0; round < rounds; round++) {
        for (const [command, pipeline] of cases) {
          for (const { name, targets } of inTurn(sides, round)) {
            const operations = OPERATIONS[pipeline] ?? 500_000;
            const micros = await costOf(pids, targets, command, pipeline, operations);
            figures.add(`${name} ${command} ${pipeline}`, micros);
            progress(`${name}, ${command} pipeline ${pipeline}: ${figure(micros)} µs of CPU`);
          }
        }
      }
      const rows = cases.map(([command, pipeline]) => {
        const [direct, forwarded] = sides.map(({ name }) =>
          figures.median(`${name} ${command} ${pipeline}`),
        );
        const asked = pipeline > 1 ? ASKED : '';
        const what = `${command} pipeline ${pipeline}`;
        return [what, direct.toFixed(2), forwarded.toFixed(2), asked, times(forwarded / direct)];
      });
      const hits = await Promise.all(owners.map(({ ports }) => hitRatio({ port: ports.cluster })));
      const head = ['what', 'to its owner, µs/op', 'forwarded, µs/op', 'asked', 'reached'];
      const ratios = hits.map((ratio) => ratio.toFixed(4)).join(', ');
      return [
        { title: `Forwarded commands, CPU of three nodes (hit ratio: ${ratios})`, head, rows },
      ];
    } finally {
      await cluster.stop();
    }
  },
};
