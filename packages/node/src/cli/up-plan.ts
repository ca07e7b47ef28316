/** What `ingot up` starts: for each node its id, its ports and the arguments of its `ingot serve`.
 *  Pure: the same values give the same plan, and the printed restart command is the plan itself. */
import { join } from 'node:path';
import { PORT_FLAGS, type Ports } from '../shared/settings.ts';
import { hostPort } from './address.ts';
import { formatBytes } from '../shared/bytes.ts';
import { numberText } from './option-table.ts';
import { CLUSTER_OPTIONS, type OptionRow, PROCESS_OPTIONS } from './options.ts';
import type { OptionValues } from './values.ts';

/** Every node of `ingot up` listens here. */
export const UP_HOST = '127.0.0.1';

/** All ports of all its nodes follow from one option. */
export const UP_PORT_FLAGS: Readonly<Record<keyof Ports, string>> = {
  client: '--base-port',
  replication: '--base-port',
  control: '--base-port',
  http: '--base-port',
  cluster: '--base-port',
  follower: '--base-port',
};

export interface NodePlan {
  readonly id: string;
  readonly ports: Ports;
  /** Arguments of `ingot`, `serve` first. */
  readonly args: readonly string[];
}

/** Node 1 founds the cluster, the others join through it. Where the folder already holds the
 *  cluster, the nodes go by what they find there. */
export function planNodes(
  values: OptionValues,
  dataDir: string,
  secretFile: string,
  passwordFile: string | null = null,
): NodePlan[] {
  const basePort = values.number('base-port') ?? 0;
  const plans: NodePlan[] = [];
  for (let index = 1; index <= (values.number('nodes') ?? 0); index++) {
    const id = `n${index}`;
    const ports = portsOf(basePort + index);
    const membership =
      index === 1
        ? ['--found', ...optionArguments(CLUSTER_OPTIONS, values)]
        : ['--join', hostPort(UP_HOST, plans[0].ports.control)];
    plans.push({
      id,
      ports,
      args: ['serve', '--id', id].concat(
        portArguments(ports),
        ['--data-dir', join(dataDir, id), '--secret-file', secretFile],
        passwordFile === null ? [] : ['--password-file', passwordFile],
        membership,
        values.text('data-dir') === null ? ['--checkpoint-every', '0'] : [],
        optionArguments(PROCESS_OPTIONS, values),
      ),
    });
  }
  return plans;
}

/** The line for a shell that starts this node again. */
export function restartCommand(plan: NodePlan): string {
  return ['npx', 'ingot', ...plan.args].map(quoteForShell).join(' ');
}

/** A first command to try, which finds the password where there is one. */
export function firstCommand(plan: NodePlan, passwordFile: string | null): string {
  const command = `redis-cli -p ${plan.ports.client} set hello world`;
  if (passwordFile === null) return command;
  return `REDISCLI_AUTH="$(cat ${quoteForShell(passwordFile)})" ${command}`;
}

function portsOf(clientPort: number): Ports {
  return {
    client: clientPort,
    replication: clientPort + 100,
    control: clientPort + 200,
    http: clientPort + 300,
    cluster: clientPort + 400,
    follower: clientPort + 500,
  };
}

function portArguments(ports: Ports): string[] {
  const names = Object.keys(PORT_FLAGS) as (keyof Ports)[];
  return names.flatMap((name) => [PORT_FLAGS[name], String(ports[name])]);
}

/** Only what differs from the default, so that the printed command stays readable. */
function optionArguments(rows: readonly OptionRow[], values: OptionValues): string[] {
  return rows.flatMap((row) => {
    if (row.type === 'flag') return values.flag(row.name) ? [`--${row.name}`] : [];
    if (row.type === 'choice') {
      const word = values.text(row.name);
      return word === null || word === row.default ? [] : [`--${row.name}`, word];
    }
    if (row.type === 'rate') {
      const rate = values.rate(row.name);
      return rate === null || rate === row.default ? [] : [`--${row.name}`, rateText(rate)];
    }
    const number = values.number(row.name);
    if (number === null || number === row.default) return [];
    return [`--${row.name}`, numberText(row, number)];
  });
}

function rateText(rate: string | number): string {
  return typeof rate === 'number' ? formatBytes(rate) : rate;
}

function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
