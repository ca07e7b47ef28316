/** `ingot serve`: one node, until it is asked to stop; then others take over what it leads. */
import { type RunningNode, startNode } from '../process/node.ts';
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
  const stopping = new AbortController();
  listenForStop({
    onFirst: (manner) => {
      stopping.abort();
      stopAsked.resolve(manner);
    },
    onSecond: () => process.exit(EXIT_INTERRUPTED),
  });
  let node: RunningNode;
  try {
    node = await startNode(settings, stopping.signal);
  } catch (error) {
    if (stopping.signal.aborted) return EXIT_OK;
    throw error;
  }
  if ((await stopAsked.promise) === 'finish') await node.drain();
  await node.stop();
  return EXIT_OK;
}
