/** Checked option values -> Settings of one node: fills what is worked out, refuses what does not
 *  fit together. Reads the machine (cores, host name) and the files of credentials. */
import { availableParallelism, hostname } from 'node:os';
import { resolve } from 'node:path';
import type { SyncRate } from '@ingot/replication';
import { refusal, usageError } from '../shared/errors.ts';
import { nodeIdPattern } from '../shared/map.ts';
import {
  type Acks,
  AWAIT_LOG,
  awaitsOf,
  type Durability,
  type EvictionPolicy,
  type LogLevel,
  type OutputLimit,
  type Ports,
  type Settings,
} from '../shared/settings.ts';
import { memoryLimit } from '../process/memory.ts';
import { isLoopback, isWildcard } from './address.ts';
import { refuseCertificateOfOther } from './certificate-files.ts';
import { credentialsFrom } from './credentials.ts';
import { otherSecretFrom } from './secret.ts';
import { IMAGE_BYTES_MAX } from './options.ts';
import { passwordFrom } from './password.ts';
import { parseOutputLimit } from '../shared/output-limits.ts';
import type { OptionValues } from './values.ts';

/** DESIGN: images are laid out for eight times the capacity unless told otherwise. */
const CAPACITY_MAX_FACTOR = 8;
const WORKERS_MAX = 8;

/** What only follows begins anew from the cluster. */
const NOTHING_SAVED = { durability: 'none', checkpointEveryMs: 0 } as const;

export function settingsFrom(
  values: OptionValues,
  environment: Readonly<Record<string, string | undefined>>,
): Settings {
  const id = values.text('id') ?? hostname();
  const host = values.text('host') ?? '';
  const settings: Settings = {
    id,
    host,
    advertise: values.text('advertise') ?? (isWildcard(host) ? hostname() : host),
    ports: portsFrom(values),
    dataDir: resolve(values.text('data-dir') ?? `ingot-data/${id}`),
    found: values.flag('found'),
    join: values.list('join'),
    witness: values.flag('witness'),
    followOnly: values.flag('follow-only'),
    snapshotEveryMs: values.number('every') ?? 0,
    ...clusterSettingsFrom(values),
    credentials: {
      ...credentialsFrom(values, environment),
      otherSecret: otherSecretFrom(values),
      password: passwordFrom(values),
    },
    workers: values.number('workers') ?? defaultWorkers(),
    acks: values.text('acks') as Acks,
    failoverWaitMs: values.number('failover-wait') ?? 0,
    staleMaxMs: values.number('stale-max') ?? 0,
    pinMaxMs: values.number('pin-max') ?? 0,
    forgetAfterMs: values.number('forget-after') ?? 0,
    syncRate: values.rate('sync-rate') as SyncRate,
    prealloc: values.flag('prealloc'),
    scrubEveryMs: values.number('scrub-every') ?? 0,
    ...durabilityFrom(values),
    ...(values.flag('follow-only') ? NOTHING_SAVED : {}),
    checkpointBytesPerSecond: values.number('checkpoint-rate') ?? 0,
    insecure: values.flag('insecure'),
    logLevel: values.text('log-level') as LogLevel,
    limits: {
      maxBulkBytes: values.number('resp-bulk-max') ?? 0,
      maxArguments: values.number('resp-arguments-max') ?? 0,
      maxQueryBufferBytes: values.number('resp-query-max') ?? 0,
      maxTransitBytes: values.number('resp-transit-max') ?? 0,
      maxClients: values.number('maxclients') ?? 0,
      maxClientsBytes: values.number('maxmemory-clients') ?? Math.floor(memoryLimit().bytes / 4),
      authTimeoutMs: values.number('auth-timeout') ?? 0,
      idleTimeoutMs: values.number('idle-timeout') ?? 0,
      output: outputLimitFrom(values.text('output-limit') ?? ''),
    },
    testDoor: environment['INGOT_TEST_DOOR'] === '1',
  };
  refuseWhatDoesNotFit(settings);
  return Object.freeze(settings);
}

/** A log needs checkpoints: they let it begin anew. */
function durabilityFrom(
  values: OptionValues,
): Pick<Settings, 'durability' | 'logBytesMax' | 'checkpointEveryMs'> {
  const durability = values.text('durability') as Durability;
  const everyMs = values.number('checkpoint-every') ?? 0;
  const acks = values.text('acks') as Acks;
  if (durability !== 'log' && (awaitsOf(acks) & AWAIT_LOG) !== 0) {
    throw usageError(`--acks ${acks} needs a log to wait for: give --durability log, too`);
  }
  if (durability === 'log' && everyMs === 0) {
    throw usageError(
      '--durability log needs checkpoints, or its log would grow for ever: give --checkpoint-every 1m, too',
    );
  }
  return {
    durability,
    logBytesMax: values.number('log-max') ?? 0,
    checkpointEveryMs: durability === 'none' ? 0 : everyMs,
  };
}

type ClusterSettings = Pick<
  Settings,
  | 'capacityBytes'
  | 'capacityMaxBytes'
  | 'partitions'
  | 'copies'
  | 'valueMaxBytes'
  | 'eviction'
  | 'minIsr'
  | 'uncleanFailover'
>;

export function clusterSettingsFrom(values: OptionValues): ClusterSettings {
  const capacityBytes = values.number('capacity') ?? 0;
  const partitions = values.number('partitions') ?? 0;
  if ((partitions & (partitions - 1)) !== 0) {
    const near = 2 ** Math.round(Math.log2(partitions));
    throw usageError(`--partitions must be a power of two; ${partitions} is none, ${near} is`);
  }
  const given = values.number('capacity-max');
  if (given !== null && given < capacityBytes) {
    throw usageError(
      '--capacity-max must not be smaller than --capacity; raise it or leave it out',
    );
  }
  const minIsr = values.number('min-isr') ?? 1;
  const copies = values.number('copies') ?? 0;
  if (minIsr > copies) {
    throw usageError(
      `--min-isr ${minIsr} can never be met with --copies ${copies}; raise --copies or lower --min-isr`,
    );
  }
  const unclean = values.text('unclean-failover');
  const laidOut = Math.min(CAPACITY_MAX_FACTOR * capacityBytes, partitions * IMAGE_BYTES_MAX);
  return {
    capacityBytes,
    capacityMaxBytes: given ?? Math.max(laidOut, capacityBytes),
    partitions,
    copies,
    valueMaxBytes: values.number('value-max'),
    eviction: values.text('eviction') as EvictionPolicy,
    minIsr,
    uncleanFailover: unclean === 'auto' ? minIsr === 1 : unclean === 'on',
  };
}

function outputLimitFrom(text: string): OutputLimit {
  const limit = parseOutputLimit(text.trim().split(/\s+/));
  if (limit === null) {
    throw usageError(
      `--output-limit must be two sizes and a number of seconds such as "1gb 64mb 60", not "${text}"`,
    );
  }
  return limit;
}

export function defaultWorkers(): number {
  return Math.min(Math.max(availableParallelism() - 1, 1), WORKERS_MAX);
}

function portsFrom(values: OptionValues): Ports {
  const port = (name: string): number => values.number(name) ?? 0;
  return {
    client: port('port'),
    replication: port('replication-port'),
    control: port('control-port'),
    http: port('http-port'),
    cluster: port('cluster-port'),
    follower: port('follower-port'),
  };
}

function refuseWhatDoesNotFit(settings: Settings): void {
  if (!nodeIdPattern.test(settings.id)) {
    throw usageError(`--id must be 1 to 63 letters, digits, ".", "_" or "-", not "${settings.id}"`);
  }
  const ports = Object.values(settings.ports) as number[];
  const twice = ports.find((port, index) => ports.indexOf(port) !== index);
  if (twice !== undefined) {
    throw usageError(`port ${twice} is given to two listeners; each of the six needs its own`);
  }
  if (settings.found && settings.join.length > 0) {
    throw usageError('--found starts a new cluster and --join enters one: give one of the two');
  }
  if (settings.found && settings.witness) {
    throw usageError(
      'a cluster begins on a node that holds data, and a witness holds none: ' +
        'give --found to a data node, and start the witness with --join HOST:CONTROL of that node',
    );
  }
  if (settings.followOnly && (settings.found || settings.witness)) {
    throw usageError(
      '--follow-only takes snapshots of a cluster, holds no copies and has no vote: ' +
        'leave out --found and --witness, and give --join HOST:CONTROL of a node of the cluster',
    );
  }
  if (settings.followOnly && settings.snapshotEveryMs === 0) {
    throw usageError('--every 0 is no time between two snapshots; 1s is the least');
  }
  const { certificates } = settings.credentials;
  if (certificates !== null) refuseCertificateOfOther(certificates, settings.id);
  if (!isLoopback(settings.host) && !settings.insecure && certificates === null) {
    throw refusal(
      'NO_CREDENTIALS',
      `--host ${settings.host} lets other machines in, clients need no password and nothing is ` +
        'encrypted; listen on 127.0.0.1, give --tls-cert, --tls-key and --tls-ca, ' +
        'or add --insecure if the network itself keeps strangers out',
    );
  }
}
