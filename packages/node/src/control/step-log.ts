/** Log lines about what the coordinator did: one per kind and node, not one per partition. */
import { countOf } from './failover-log.ts';
import type { HandOver, Step, StepKind } from './steps.ts';
import type { ControlLog } from './types.ts';

/** The event, and what the line says after the node's id; `count` stands for the partitions. */
const lines: Record<StepKind, [event: string, text: (count: string) => string]> = {
  nodeRemoved: ['node.left', () => 'has left the cluster'],
  followerAdded: ['copy.added', (count) => `starts to copy ${count}`],
  followerDropped: ['copy.dropped', (count) => `gives up its copies of ${count}`],
};

export function logSteps(log: ControlLog, steps: readonly Step[]): void {
  for (const group of Map.groupBy(steps, (step) => `${step.kind} ${step.node}`).values()) {
    const { kind, node } = group[0];
    const partitions = group.map((step) => step.partition).filter((id) => id >= 0);
    const [event, sentence] = lines[kind];
    const fields = { event, peer: node, ...(partitions.length > 0 ? { partitions } : {}) };
    const text = `${node} ${sentence(countOf(partitions))}`;
    log.info(fields, text);
  }
}

export function logHandOvers(log: ControlLog, handOvers: readonly HandOver[]): void {
  for (const group of Map.groupBy(handOvers, ({ from, to }) => `${from} ${to}`).values()) {
    const { from, to } = group[0];
    const partitions = group.map((handOver) => handOver.partition);
    log.info(
      { event: 'partition.handedOver', from, to, partitions },
      `${from} handed ${countOf(partitions)} over to ${to}`,
    );
  }
}
