/** `ingot serve`: one node, until it is asked to stop; then others take over what it leads. */
import { startNode } from '../process/node.ts';
import { EXIT_INTERRUPTED, EXIT_OK } from '../shared/errors.ts';
import { createLogger } from '../shared/log.ts';
import { openDoors } from './open-doors.ts';
import { settingsFrom } from './serve-settings.ts';
import { listenForStop, type StopManner } from './signals.ts';
import type { OptionValues } from './values.ts';

export async function serve(values: OptionValues): Promise<number> {
  const settings = settingsFrom(values, process.env);
  for (const { event, text } of openDoors(settings)) createLogger(settings).warn({ event }, text);
  const stopAsked = Promise.withResolvers<StopManner>();
  listenForStop({
    onFirst: stopAsked.resolve,
    onSecond: () => process.exit(EXIT_INTERRUPTED),
  });
  const starting = startNode(settings);
  // A node that waits for others while it starts must still end when it is asked to.
  const node = await Promise.race([starting, stopAsked.promise]);
  if (typeof node === 'string') return EXIT_OK;
  if ((await stopAsked.promise) === 'finish') await node.drain();
  await node.stop();
  return EXIT_OK;
}
