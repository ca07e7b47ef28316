/** `ingot capacity [SIZE]`: how much of their memory the partitions of a running cluster may use. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ControlClient } from '../control/control-client.ts';
import type { ClusterStatus } from '../control/types.ts';
import { capacityBoundsOf, capacityOf, partitionCapacity } from '../shared/capacity.ts';
import { EXIT_OK, usageError } from '../shared/errors.ts';
import type { ClusterMap } from '../shared/map.ts';
import { askedFrom, askNode } from './ask.ts';
import { formatBytes, parseBytes } from '../shared/bytes.ts';
import type { OptionValues } from './values.ts';

/** Nodes hear of a map at once. Who does not is named: it has the limit as soon as it has the map. */
const looksMax = 60;
const lookEveryMs = 50;

export async function capacity(values: OptionValues, operands: readonly string[]): Promise<number> {
  const wanted = operands.length === 0 ? null : sizeFrom(operands[0]);
  const text = await askNode(askedFrom(values, process.env), async (client) => {
    const { map } = await client.status('node');
    if (wanted === null) return values.flag('json') ? json(map) : presentText(map);
    await client.setCapacity(wanted);
    const awaited = await untilInForce(client, wanted);
    if (values.flag('json')) return json({ ...map, capacityLimitBytes: wanted }, { awaited });
    return changeText(capacityOf(map), wanted, awaited);
  });
  process.stdout.write(`${text}\n`);
  return EXIT_OK;
}

export function sizeFrom(text: string): number {
  const bytes = parseBytes(text);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw usageError(`SIZE must be a size such as 512mb or 2gb, not "${text}"`);
}

/** `capacity 1gb, 16mb for each of 64 partitions; it may be 512mb to 8gb` */
export function presentText(map: ClusterMap): string {
  const { leastBytes, mostBytes } = capacityBoundsOf(map);
  const each = formatBytes(partitionCapacity(map));
  return (
    `capacity ${formatBytes(capacityOf(map))}, ${each} for each of ${map.partitions} partitions; ` +
    `it may be ${formatBytes(leastBytes)} to ${formatBytes(mostBytes)}`
  );
}

export function changeText(formerly: number, now: number, awaited: readonly string[]): string {
  const was = formerly === now ? 'as before' : `it was ${formatBytes(formerly)}`;
  const late = awaited.length === 0 ? '' : `; ${awaited.join(', ')} will follow when heard again`;
  return `capacity ${formatBytes(now)}, ${was}${late}`;
}

/** Which nodes, of those that are up, do not go by it yet. */
export function behind({ map, nodes }: ClusterStatus, capacityBytes: number): string[] {
  const ids = map.nodes.filter(({ state }) => state === 'up').map(({ id }) => id);
  if (capacityOf(map) !== capacityBytes) return ids;
  return ids.filter((id) => {
    const status = nodes.find(({ node }) => node === id)?.status ?? null;
    return status === null || status.mapVersion < map.version;
  });
}

async function untilInForce(client: ControlClient, capacityBytes: number): Promise<string[]> {
  for (let look = 1; ; look++) {
    const late = behind(await client.status('cluster'), capacityBytes);
    if (late.length === 0 || look === looksMax) return late;
    await delay(lookEveryMs);
  }
}

function json(map: ClusterMap, change: object = {}): string {
  const bounds = capacityBoundsOf(map);
  return JSON.stringify({ capacityBytes: capacityOf(map), ...bounds, ...change }, null, 2);
}
