/** `ingot up`: a whole cluster on this machine, in one terminal. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { checkPorts } from '../process/ports.ts';
import { NO_CREDENTIALS } from '../shared/credentials.ts';
import { EXIT_INTERRUPTED, EXIT_OK } from '../shared/errors.ts';
import { hostPort } from './address.ts';
import { EventPrinter } from './event-printer.ts';
import { LocalCluster, lostText } from './local-cluster.ts';
import { clusterSettingsFrom } from './serve-settings.ts';
import { passwordFrom } from './password.ts';
import { leavePointers, runtimeFolder } from './runtime-folder.ts';
import { readSecretFile, secretFileIn, secretFrom, writeSecretFile } from './secret.ts';
import { listenForStop } from './signals.ts';
import { textTable } from './text-table.ts';
import {
  firstCommand,
  type NodePlan,
  planNodes,
  restartCommand,
  UP_HOST,
  UP_PORT_FLAGS,
} from './up-plan.ts';
import type { OptionValues } from './values.ts';

export async function up(values: OptionValues): Promise<number> {
  clusterSettingsFrom(values); // a wrong value is refused here, not by the first node
  const folder = openFolder(values.text('data-dir'));
  try {
    const secretFile = secretFileFor(values, folder.path);
    const passwordFile = passwordFileFor(values, folder.path);
    const plans = planNodes(values, folder.path, secretFile, passwordFile);
    for (const { ports } of plans) await checkPorts({ host: UP_HOST, ports }, UP_PORT_FLAGS);
    return await runCluster(plans, secretFile, passwordFile);
  } finally {
    folder.close();
  }
}

/** The secret of the cluster, in a file that its nodes are pointed to. */
function secretFileFor(values: OptionValues, dataDir: string): string {
  const given = secretFrom(values, process.env);
  const path = values.text('secret-file');
  if (path !== null) return resolve(path);
  return given === null ? secretFileIn(dataDir) : writeSecretFile(dataDir, given);
}

/** The password of clients, in a file that its nodes are pointed to; null: they need none. */
function passwordFileFor(values: OptionValues, dataDir: string): string | null {
  const password = passwordFrom(values);
  const path = values.text('password-file');
  if (path !== null) return resolve(path);
  return password === null ? null : writeSecretFile(dataDir, password, 'password');
}

async function runCluster(
  plans: readonly NodePlan[],
  secretFile: string,
  passwordFile: string | null,
): Promise<number> {
  const events = new EventPrinter(print, process.stdout.isTTY);
  const credentials = { ...NO_CREDENTIALS, secret: readSecretFile(secretFile) };
  const cluster = new LocalCluster(credentials, {
    onLogLine: (line) => events.add(line),
    onReady: (child) => print(`${child.plan.id} is ready`),
    onSpreading: () => print('spreading the partitions over the nodes'),
    onLost: (child, end) => {
      for (const line of end.lastLines) print(`${child.plan.id}: ${line}`);
      print(`${child.plan.id} ${lostText(end)}:`);
      print(`  ${restartCommand(child.plan)}`);
    },
  });
  const stopAsked = Promise.withResolvers<'stop'>();
  listenForStop({ onFirst: () => stopAsked.resolve('stop'), onSecond: () => cluster.kill() });
  // A cluster whose nodes have all died is still here: they may be started again by hand.
  const alive = setInterval(() => undefined, 2 ** 30);
  const removePointers = leavePointers(
    runtimeFolder(process.env),
    plans.map(({ ports }) => ports.control),
    secretFile,
    print,
  );
  let allEndedAsAsked = false;
  try {
    print(`starting ${plans.map((plan) => plan.id).join(', ')}`);
    const outcome = await Promise.race([cluster.start(plans), stopAsked.promise]);
    if (outcome !== 'stop') {
      print(`\n${addressTable(cluster)}\n`);
      print(`try: ${firstCommand(plans[0], passwordFile)}\n`);
      events.everything();
      await stopAsked.promise;
    }
    print('stopping; Ctrl-C again ends the nodes at once');
  } finally {
    clearInterval(alive);
    events.onlyErrors();
    removePointers();
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
