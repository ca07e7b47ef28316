/** How the node's threads log: a level, a dotted event name, fields. Workers send it to the main
 *  thread as a message, which writes it through the one logger. */

import type { Logger } from '../shared/log.ts';
import type { LogLevel } from '../shared/messages.ts';

export type NodeLog = (
  level: LogLevel,
  event: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** A field `text` becomes the sentence of the line. */
export function nodeLog(logger: Logger): NodeLog {
  return (level, event, fields = {}) => {
    const { text, ...rest } = fields;
    logger[level]({ event, ...rest }, typeof text === 'string' ? text : undefined);
  };
}
