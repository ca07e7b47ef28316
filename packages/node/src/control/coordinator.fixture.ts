/** What tests of the coordinator share: a cluster of three, and ways to let it write and live on. */
import { ledBy } from '../shared/map.ts';
import { type Shape, SimulatedCluster } from './simulated-cluster.fixture.ts';

export async function threeNodes(
  shape: Shape = { partitions: 64, copies: 2 },
): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster(shape);
  await cluster.start('n2');
  await cluster.start('n3');
  await cluster.settle();
  return cluster;
}

export function writeEverywhere(cluster: SimulatedCluster, times = 1): void {
  for (const node of cluster.nodes.values()) {
    for (const partition of ledBy(cluster.map, node.id)) {
      for (let time = 0; time < times; time++) node.write(partition);
    }
  }
}

export function leads(cluster: SimulatedCluster): number[] {
  return cluster.map.nodes.map(({ id }) => ledBy(cluster.map, id).length);
}

export function eventNames(cluster: SimulatedCluster): string[] {
  return cluster.events.map(({ event }) => event);
}

/** Lets `ms` pass in steps of a heartbeat, with everybody who runs reporting. */
export async function pass(cluster: SimulatedCluster, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 250) {
    cluster.nowMs += 250;
    cluster.exchange();
    await cluster.step();
  }
}
