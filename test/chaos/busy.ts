/** A machine that is busy with other things: one endless loop per core. A cluster must bear it without taking anybody
 *  for dead. */
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterView } from '../../packages/node/src/cli/cluster-view.ts';
import { Child } from '../support/child.ts';
import { numbers } from '../support/dataset.ts';
import type { LocalCluster } from '../support/local-cluster.ts';

/** Throws where any node began a new life, or any partition has another primary afterwards. */
export async function staysAsItIs(cluster: LocalCluster, seconds: number): Promise<void> {
  const before = leadsAndLives(await cluster.view());
  const loops = numbers(availableParallelism()).map(
    () => new Child(process.execPath, ['--eval', 'for (;;);']),
  );
  try {
    await delay(seconds * 1_000);
  } finally {
    await Promise.all(loops.map((loop) => loop.signal('SIGKILL')));
  }
  const after = leadsAndLives(await cluster.view());
  const changed = before.filter((line, i) => line !== after[i]);
  if (changed.length > 0) throw new Error(`a busy machine has ended: ${changed.join('; ')}`);
}

function leadsAndLives({ nodes, partitions }: ClusterView): string[] {
  return [
    ...nodes.map(({ id, incarnation, state }) => `${id} incarnation ${incarnation} ${state}`),
    ...partitions.map(({ id, epoch, primary }) => `partition ${id} epoch ${epoch} ${primary}`),
  ];
}
