/** `ingot status`: the cluster as one node sees it. */
import { EXIT_OK } from '../shared/errors.ts';
import { askedFrom, askNode } from './ask.ts';
import { viewOf, viewText } from './cluster-view.ts';
import type { OptionValues } from './values.ts';

export async function status(values: OptionValues): Promise<number> {
  const answer = await askNode(askedFrom(values, process.env), (client) =>
    client.status('cluster'),
  );
  const view = viewOf(answer);
  const text = values.flag('json') ? JSON.stringify(view, null, 2) : viewText(view);
  process.stdout.write(`${text}\n`);
  return EXIT_OK;
}
