/** @ingot/node: one node of a cluster, started from code. `ingot serve` is the usual way in. */
export { type RunningNode, startNode } from './process/node.ts';
export { IngotError } from './shared/errors.ts';
export type { Ports, RespLimits, Settings } from './shared/settings.ts';
