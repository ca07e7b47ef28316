/** Debian programs that suites of this folder drive. A suite asks when it is registered, so that a
 *  machine without the program runs the rest and says once what is missing. */
import { debianTool } from '../debian-tools.ts';

const PACKAGES = {
  'redis-server': 'redis-server',
  'redis-cli': 'redis-tools',
  'redis-benchmark': 'redis-tools',
  prometheus: 'prometheus',
  promtool: 'prometheus',
  'prometheus-redis-exporter': 'prometheus-redis-exporter',
  strace: 'strace',
  prlimit: 'util-linux',
} as const;

export type Tool = keyof typeof PACKAGES;

const found = new Map<Tool, string | null>();

/** The path of `tool`, or null after printing `NOT RUN: needs <Debian package>`, once a process. */
export function needs(tool: Tool): string | null {
  const known = found.get(tool);
  if (known !== undefined) return known;
  const path = debianTool(tool, PACKAGES[tool]);
  found.set(tool, path);
  return path;
}
