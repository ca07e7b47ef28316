/** `ingot up`: a whole cluster on this machine, in one terminal. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { checkPorts } from '../process/ports.ts';
import { EXIT_INTERRUPTED, EXIT_OK } from '../shared/errors.ts';
import { hostPort } from './address.ts';
import { EventPrinter } from './event-printer.ts';
import { endText, LocalCluster } from './local-cluster.ts';
import { clusterSettingsFrom } from './serve-settings.ts';
import { listenForStop } from './signals.ts';
import { textTable } from './text-table.ts';
import { type NodePlan, planNodes, restartCommand, UP_HOST, UP_PORT_FLAGS } from './up-plan.ts';
import type { OptionValues } from './values.ts';

export async function up(values: OptionValues): Promise<number> {
  clusterSettingsFrom(values); // a wrong value is refused here, not by the first node
  const folder = openFolder(values.text('data-dir'));
  try {
    const plans = planNodes(values, folder.path);
    for (const { ports } of plans) await checkPorts({ host: UP_HOST, ports }, UP_PORT_FLAGS);
    return await runCluster(plans);
  } finally {
    folder.close();
  }
}

async function runCluster(plans: readonly NodePlan[]): Promise<number> {
  const events = new EventPrinter(print, process.stdout.isTTY);
  const cluster = new LocalCluster({
    onLogLine: (line) => events.add(line),
    onReady: (child) => print(`${child.plan.id} is ready`),
    onSpreading: () => print('spreading the partitions over the nodes'),
    onLost: (child, end) => {
      for (const line of end.lastLines) print(`${child.plan.id}: ${line}`);
      print(`${child.plan.id} ${endText(end)}; it is not restarted. To start it again:`);
      print(`  ${restartCommand(child.plan)}`);
    },
  });
  const stopAsked = Promise.withResolvers<'stop'>();
  listenForStop({ onFirst: () => stopAsked.resolve('stop'), onSecond: () => cluster.kill() });
  // A cluster whose nodes have all died is still here: they may be started again by hand.
  const alive = setInterval(() => undefined, 2 ** 30);
  let allEndedAsAsked = false;
  try {
    print(`starting ${plans.map((plan) => plan.id).join(', ')}`);
    const outcome = await Promise.race([cluster.start(plans), stopAsked.promise]);
    if (outcome !== 'stop') {
      print(`\n${addressTable(cluster)}\n`);
      print(`try: redis-cli -p ${plans[0].ports.client} set hello world\n`);
      events.everything();
      await stopAsked.promise;
    }
    print('stopping; Ctrl-C again ends the nodes at once');
  } finally {
    clearInterval(alive);
    events.onlyErrors();
    allEndedAsAsked = await cluster.stop();
  }
  return allEndedAsAsked ? EXIT_OK : EXIT_INTERRUPTED;
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

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
