/** Log lines about what the coordinator did: one per kind and node, not one per partition. */
import type { HandOver, Step, StepKind } from './steps.ts';
import type { ControlLog } from './types.ts';

/** What a line says after the node's id; `count` stands for the partitions concerned. */
const sentences: Record<StepKind, (count: string) => string> = {
  nodeDown: () => 'is down: no heartbeat for a second',
  nodeUp: () => 'is up again',
  nodeRemoved: () => 'has left the cluster',
  followerAdded: (count) => `starts to copy ${count}`,
  followerDropped: (count) => `gives up its copies of ${count}`,
  primaryNamed: (count) => `leads ${count}: the former primary came back without data`,
  partitionLost: (count) => `starts ${count} again, empty: lost, no copy was left`,
};

const warnings: ReadonlySet<StepKind> = new Set(['nodeDown', 'partitionLost']);

export function logSteps(log: ControlLog, steps: readonly Step[]): void {
  for (const group of Map.groupBy(steps, (step) => `${step.kind} ${step.node}`).values()) {
    const { kind, node } = group[0];
    const partitions = group.map((step) => step.partition).filter((id) => id >= 0);
    const fields = { event: kind, peer: node, ...(partitions.length > 0 ? { partitions } : {}) };
    const text = `${node} ${sentences[kind](countOf(partitions))}`;
    if (warnings.has(kind)) log.warn(fields, text);
    else log.info(fields, text);
  }
}

export function logHandOvers(log: ControlLog, handOvers: readonly HandOver[]): void {
  for (const group of Map.groupBy(handOvers, ({ from, to }) => `${from} ${to}`).values()) {
    const { from, to } = group[0];
    const partitions = group.map((handOver) => handOver.partition);
    log.info(
      { event: 'handedOver', from, to, partitions },
      `${from} handed ${countOf(partitions)} over to ${to}`,
    );
  }
}

function countOf(partitions: readonly number[]): string {
  return partitions.length === 1 ? `partition ${partitions[0]}` : `${partitions.length} partitions`;
}
