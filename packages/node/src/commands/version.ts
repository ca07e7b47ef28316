/** Which versions INFO and HELLO name: Redis' for clients that choose features by it, and ours. */

import { readFileSync } from 'node:fs';

/** The Redis version whose commands and replies Ingot keeps to. */
export const REDIS_VERSION = '7.2.0';

/** Read once, at load; the path is the same from src and from dist. */
export const INGOT_VERSION: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  }
).version;
