/** The one logger of a process: JSON lines on stdout, readable lines where stdout is a terminal.
 *  Each line carries `event`, a short name, and its fields. `ingot up` reads the JSON of its nodes
 *  and prints it through the same formatter. Owner: the main thread; workers post their lines to
 *  it. */
import { type Logger, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { Settings } from './settings.ts';

export type { Logger } from 'pino';

export function createLogger(settings: Pick<Settings, 'id' | 'logLevel'>): Logger {
  const options = { level: settings.logLevel, base: { node: settings.id } };
  if (!process.stdout.isTTY) return pino(options, pino.destination({ dest: 1, sync: true }));
  const readable = lineFormatter(true);
  return pino(options, { write: (line) => void process.stdout.write(readable(line)) });
}

/** Turns one JSON log line into one readable line, newline included: `08:15:02 INFO: n1 mapChanged
 *  {…}`. */
export function lineFormatter(colorize: boolean): (jsonLine: string) => string {
  return prettyFactory({
    colorize,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'event,node',
    messageFormat: '{node} {event} {msg}',
  });
}
