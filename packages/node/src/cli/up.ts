/** `ingot up`: a whole cluster on this machine, in one terminal. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { lineFormatter } from '../shared/log.ts';
import { EXIT_INTERRUPTED, EXIT_OK } from '../shared/errors.ts';
import { hostPort } from './address.ts';
import { endText, LocalCluster } from './local-cluster.ts';
import { clusterSettingsFrom } from './serve-settings.ts';
import { listenForStop } from './signals.ts';
import { textTable } from './text-table.ts';
import { type NodePlan, planNodes, restartCommand, UP_HOST } from './up-plan.ts';
import type { OptionValues } from './values.ts';

export async function up(values: OptionValues): Promise<number> {
  clusterSettingsFrom(values); // a wrong value is refused here, not by the first node
  const folder = openFolder(values.text('data-dir'));
  try {
    return await runCluster(planNodes(values, folder.path));
  } finally {
    folder.close();
  }
}

async function runCluster(plans: readonly NodePlan[]): Promise<number> {
  const readable = lineFormatter(process.stdout.isTTY);
  let isUp = false;
  let allEnded = false;
  const cluster = new LocalCluster({
    onLogLine: (line) => {
      // Until the table is printed only what is wrong is news.
      if (isUp || isWarning(line)) print(readable(line).trimEnd());
    },
    onErrorLine: (node, line) => {
      if (isUp) print(`${node}: ${line}`);
    },
    onReady: (child) => print(`${child.plan.id} is ready`),
    onLost: (child, end) => {
      print(`${child.plan.id} ${endText(end)}; it is not restarted. To start it again:`);
      print(`  ${restartCommand(child.plan)}`);
    },
  });
  const stopAsked = Promise.withResolvers<'stop'>();
  listenForStop({ onFirst: () => stopAsked.resolve('stop'), onSecond: () => cluster.kill() });
  // A cluster whose nodes have all died is still here: they may be started again by hand.
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    print(`starting ${plans.map((plan) => plan.id).join(', ')}`);
    const outcome = await Promise.race([cluster.start(plans), stopAsked.promise]);
    if (outcome !== 'stop') {
      isUp = true;
      print(
        `\n${addressTable(cluster)}\n\ntry: redis-cli -p ${plans[0].ports.client} set hello world\n`,
      );
      await stopAsked.promise;
    }
    print('stopping; Ctrl-C again ends the nodes at once');
  } finally {
    clearInterval(alive);
    allEnded = await cluster.stop();
  }
  return allEnded ? EXIT_OK : EXIT_INTERRUPTED;
}

function addressTable(cluster: LocalCluster): string {
  const address = (port: number): string => hostPort(UP_HOST, port);
  const rows = cluster.children.map(({ plan: { id, ports }, pid }) => [
    id,
    address(ports.client),
    address(ports.cluster),
    address(ports.follower),
    address(ports.control),
    `http://${address(ports.http)}/metrics`,
    String(pid),
  ]);
  return textTable(['node', 'client', 'cluster', 'follower', 'control', 'metrics', 'pid'], rows);
}

interface DataFolder {
  readonly path: string;
  readonly close: () => void;
}

function openFolder(given: string | null): DataFolder {
  if (given !== null) return { path: resolve(given), close: () => undefined };
  const path = mkdtempSync(join(tmpdir(), 'ingot-'));
  return { path, close: () => rmSync(path, { recursive: true, force: true }) };
}

const PINO_WARN_LEVEL = 40;

/** What is no log line at all is worth a look too. */
function isWarning(line: string): boolean {
  try {
    return (JSON.parse(line) as { level: number }).level >= PINO_WARN_LEVEL;
  } catch {
    return true;
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
