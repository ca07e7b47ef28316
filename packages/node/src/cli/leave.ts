/** `ingot leave NODE`: takes a node out of the cluster for good. Its partitions and copies go to the
 *  others first; progress goes to stderr. A node that is down has its copies made anew. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ControlClient } from '../control/control-client.ts';
import { EXIT_OK, IngotError } from '../shared/errors.ts';
import { type ClusterMap, copiesOn, ledBy, nodeOf } from '../shared/map.ts';
import { askedFrom, askNode } from './ask.ts';
import { nodeFrom } from './promote.ts';
import type { OptionValues } from './values.ts';

const lookEveryMs = 1_000;
/** Whoever coordinates may change meanwhile, and is asked anew. */
const retryMs = 500;
const retriesMax = 40;
const PASSING: ReadonlySet<string> = new Set(['NO_COORDINATOR', 'STOPPING', 'MAP_CHANGED']);

export async function leave(values: OptionValues, operands: readonly string[]): Promise<number> {
  const node = nodeFrom(operands[0]);
  const map = await askNode(askedFrom(values, process.env), async (client) => {
    const end = new AbortController();
    const shown = showProgress(client, node, end.signal);
    try {
      await leaveThrough(client, node);
    } finally {
      end.abort();
      await shown;
    }
    return (await client.status('node')).map;
  });
  const nodes = map.nodes.map(({ id }) => id);
  const text = values.flag('json')
    ? JSON.stringify({ left: node, nodes }, null, 2)
    : `${node} has left; the cluster is ${nodes.join(', ')}`;
  process.stdout.write(`${text}\n`);
  return EXIT_OK;
}

async function leaveThrough(client: ControlClient, node: string): Promise<void> {
  for (let retry = 0; ; retry++) {
    try {
      return await client.leave(node);
    } catch (error) {
      const isPassing = error instanceof IngotError && PASSING.has(error.code);
      if (!isPassing || retry === retriesMax) throw error;
      await delay(retryMs);
    }
  }
}

async function showProgress(
  client: ControlClient,
  node: string,
  signal: AbortSignal,
): Promise<void> {
  let shown = '';
  while (!signal.aborted) {
    await delay(lookEveryMs, undefined, { signal }).catch(() => undefined);
    const map = await client.status('node').then(
      (status) => status.map,
      () => null,
    );
    const text = map === null || signal.aborted ? '' : progressText(map, node);
    if (text !== '' && text !== shown) process.stderr.write(`${text}\n`);
    shown = text;
  }
}

export function progressText(map: ClusterMap, node: string): string {
  if (nodeOf(map, node) === null) return '';
  const held = copiesOn(map, node);
  if (held.length === 0) return `${node} holds nothing any more; it gives up its voice`;
  const led = ledBy(map, node).length;
  return `${node} leads ${led} partitions and holds ${held.length} copies`;
}
