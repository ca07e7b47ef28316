/** Every option of the `ingot` command: one row each. Flags, environment variables, the YAML file,
 *  `--help` and the table in README.md all come from these rows; a test keeps README in step.
 *
 *  A row's name is its flag (`--name`) and its key in the YAML file alike. A default of null means
 *  "worked out when nothing is given", and `doc` says how. */
import { ACKS, DURABILITIES } from '../shared/settings.ts';

export type OptionType =
  | 'text'
  | 'path'
  | 'integer'
  | 'bytes'
  | 'duration'
  | 'rate'
  | 'flag'
  | 'choice'
  | 'address'
  | 'addresses';

export interface OptionRow {
  readonly name: string;
  readonly env: string;
  readonly type: OptionType;
  readonly min: number | null;
  readonly max: number | null;
  readonly default: string | number | boolean | null;
  /** How help shows the value, and what it counts. Empty for flags. */
  readonly unit: string;
  readonly choices?: readonly string[];
  readonly doc: string;
}

const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
const KB = 1024;
const MB = 1024 * KB;
const GB = 1024 * MB;
const TB = 1024 * GB;

export const IMAGE_BYTES_MAX: number = 2 * GB;

function port(name: string, standard: number, doc: string): OptionRow {
  const env = envOf(name);
  return { name, env, type: 'integer', min: 1, max: 65_535, default: standard, unit: 'port', doc };
}

function flag(name: string, doc: string): OptionRow {
  const env = envOf(name);
  return { name, env, type: 'flag', min: null, max: null, default: false, unit: '', doc };
}

function integer(
  name: string,
  [min, max]: [number, number],
  standard: number | null,
  unit: string,
  doc: string,
): OptionRow {
  return { name, env: envOf(name), type: 'integer', min, max, default: standard, unit, doc };
}

function bytes(
  name: string,
  [min, max]: [number, number],
  standard: number | null,
  doc: string,
): OptionRow {
  const env = envOf(name);
  return { name, env, type: 'bytes', min, max, default: standard, unit: 'bytes', doc };
}

/** In milliseconds; 0 is within the range of every row: off. */
function duration(
  name: string,
  [min, max]: [number, number],
  standard: number,
  doc: string,
): OptionRow {
  const env = envOf(name);
  return { name, env, type: 'duration', min, max, default: standard, unit: 'time', doc };
}

function text(
  name: string,
  type: 'text' | 'path' | 'address' | 'addresses',
  standard: string | null,
  unit: string,
  doc: string,
): OptionRow {
  return { name, env: envOf(name), type, min: null, max: null, default: standard, unit, doc };
}

function choice(
  name: string,
  choices: readonly string[],
  standard: string,
  doc: string,
): OptionRow {
  const row = { name, env: envOf(name), type: 'choice', min: null, max: null } as const;
  return { ...row, default: standard, unit: choices.join('|'), choices, doc };
}

/** One of the words, or bytes per second. */
function rate(
  name: string,
  words: readonly string[],
  [min, max]: [number, number],
  doc: string,
): OptionRow {
  const row = { name, env: envOf(name), type: 'rate', min, max } as const;
  return { ...row, default: words[0], unit: [...words, 'size'].join('|'), choices: words, doc };
}

function envOf(name: string): string {
  return `INGOT_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** What founds a cluster. `serve` and `up` both take these; a node that joins gets them from the
 *  map. */
export const CLUSTER_OPTIONS: readonly OptionRow[] = [
  bytes('capacity', [8 * MB, 64 * TB], GB, 'memory of all primaries of the cluster (1gb = 2^30)'),
  bytes(
    'capacity-max',
    [8 * MB, 64 * TB],
    null,
    'how far the capacity may be raised later; 8 times the capacity unless set',
  ),
  integer(
    'partitions',
    [1, 4096],
    64,
    'count',
    'parts of the key space, a power of two; fixed for the life of the cluster',
  ),
  integer('copies', [1, 16], 2, 'count', 'copies of each partition, the primary among them'),
  bytes(
    'value-max',
    [1, IMAGE_BYTES_MAX],
    null,
    "largest value; a 16th of a partition's capacity unless set",
  ),
  choice(
    'eviction',
    ['sieve', 'volatile-ttl', 'noeviction'],
    'sieve',
    'when memory is full: drop what is not read, what is nearest to its expiry, or refuse writes',
  ),
  integer(
    'min-isr',
    [1, 16],
    1,
    'count',
    'copies that must be in sync, the primary among them, for a write with acks=isr',
  ),
  choice(
    'unclean-failover',
    ['auto', 'on', 'off'],
    'auto',
    'where no copy in sync is left: go on with the best one there is; auto: on where --min-isr is 1',
  ),
];

/** What a process needs to know for itself; `up` hands these on to each of its nodes. */
export const PROCESS_OPTIONS: readonly OptionRow[] = [
  choice(
    'acks',
    ACKS,
    'local',
    'reply to a write when the primary has it, when every copy in sync has, or when it is on disk; CLIENT ACKS changes it for a connection',
  ),
  duration(
    'failover-wait',
    [0, 60 * SECOND_MS],
    5 * SECOND_MS,
    'how long commands on the client port wait for a new primary; 0: not at all',
  ),
  duration(
    'stale-max',
    [250, DAY_MS],
    5 * SECOND_MS,
    'a follower that has heard nothing for so long answers no reads; 0: it goes on',
  ),
  duration(
    'pin-max',
    [SECOND_MS, DAY_MS],
    30 * SECOND_MS,
    'a client that takes longer to read a value sent from where it lies (16 KiB and more) is disconnected; 0: it is not',
  ),
  integer(
    'maxclients',
    [1, 10_000_000],
    10_000,
    'count',
    'clients at a time; more are turned down',
  ),
  bytes(
    'maxmemory-clients',
    [0, TB],
    null,
    'what all clients together may hold in buffers; beyond it whoever holds most is disconnected; 0: no such limit; a quarter of the memory of the machine or container unless set',
  ),
  duration(
    'auth-timeout',
    [SECOND_MS, DAY_MS],
    10 * SECOND_MS,
    'where clients need a password: one that does not give it within so long is disconnected; 0: it is not',
  ),
  duration(
    'idle-timeout',
    [SECOND_MS, 30 * DAY_MS],
    0,
    'a client that sends no command for so long is disconnected; 0: it is not',
  ),
  text(
    'output-limit',
    'text',
    '1gb 64mb 60',
    'hard soft seconds',
    'a client is disconnected once more bytes of replies than hard wait for it, or more than soft for so many seconds; 0: no such limit',
  ),
  duration(
    'forget-after',
    [10 * SECOND_MS, 30 * DAY_MS],
    600 * SECOND_MS,
    'a node that is gone for so long is taken out of the cluster, its copies made anew; 0: never',
  ),
  integer(
    'workers',
    [1, 64],
    null,
    'threads',
    'data workers; cores - 1, at least 1, at most 8 unless set',
  ),
  rate(
    'sync-rate',
    ['adaptive', 'max'],
    [MB, 64 * GB],
    'bytes per second that all syncs together may send; adaptive: as many as clients do not notice',
  ),
  flag('prealloc', 'touch all image memory at start: slower to start, faster to fill'),
  duration(
    'scrub-every',
    [SECOND_MS, 30 * DAY_MS],
    3_600 * SECOND_MS,
    'compare every chunk of every copy once in so long, and repair what differs; 0: never',
  ),
  choice(
    'durability',
    DURABILITIES,
    'checkpoint',
    'what a restart finds: nothing, what was saved last (see --checkpoint-every), or all that was written to the redo log since, too, which CLIENT ACKS log waits for',
  ),
  bytes(
    'log-max',
    [64 * MB, 64 * GB],
    GB,
    'the redo log grows to so much; a checkpoint is made when it is half full, and lets it begin anew',
  ),
  duration(
    'checkpoint-every',
    [SECOND_MS, DAY_MS],
    60 * SECOND_MS,
    'what changed is saved below --data-dir so often, and at the end, and read at the next start; 0: nothing is saved, and what was is removed',
  ),
  bytes(
    'checkpoint-rate',
    [MB, 64 * GB],
    64 * MB,
    'checkpoints are written with so many bytes per second at most',
  ),
  choice('log-level', ['debug', 'info', 'warn', 'error', 'silent'], 'info', 'how much to log'),
];

const SECRET_FILE = text(
  'secret-file',
  'path',
  null,
  'file',
  "the cluster's secret, the same on every node; readable by its owner alone (chmod 600)",
);

const OTHER_SECRET_FILE = text(
  'other-secret-file',
  'path',
  null,
  'file',
  'a second secret that peers may prove themselves with, while the secret is being changed',
);

/** What clients of a node must say before anything else. */
const PASSWORD: readonly OptionRow[] = [
  text(
    'password',
    'text',
    null,
    'text',
    'what clients must give with AUTH or HELLO; every user of the machine can see a command line: rather the file',
  ),
  text('password-file', 'path', null, 'file', 'a file with that password (chmod 600)'),
];

const TLS_FILES: readonly OptionRow[] = [
  text(
    'tls-cert',
    'path',
    null,
    'file',
    'PEM certificate for TLS between nodes; its name must be the id of the node',
  ),
  text('tls-key', 'path', null, 'file', 'its key (chmod 600); with --tls-cert and --tls-ca'),
  text('tls-ca', 'path', null, 'file', 'the CA that has signed the certificates of all nodes'),
];

export const SERVE_OPTIONS: readonly OptionRow[] = [
  text(
    'id',
    'text',
    null,
    'name',
    'the name of this node in the cluster; the host name unless set',
  ),
  text('host', 'text', '127.0.0.1', 'address', 'address to listen on'),
  text(
    'advertise',
    'text',
    null,
    'host',
    'address that other nodes and clients are told; --host unless set',
  ),
  port('port', 7400, 'client port: any key, any node'),
  port('replication-port', 7500, 'where followers connect'),
  port('control-port', 7600, 'gRPC: membership, status, verify, promote, leave, capacity'),
  port('http-port', 7700, '/metrics, /healthz, /readyz'),
  port('cluster-port', 7800, 'cluster clients: answers MOVED for keys that live elsewhere'),
  port('follower-port', 7900, 'as the cluster port, and READONLY reads of the copies held here'),
  text(
    'data-dir',
    'path',
    null,
    'folder',
    'identity, last cluster map and checkpoints; ingot-data/ID unless set',
  ),
  flag('found', 'found a new cluster'),
  flag('witness', 'hold no copies, only vote: the third voice of a cluster of two nodes'),
  flag(
    'follow-only',
    'hold no copies, lead nothing and have no vote: an edge copy of the cluster, for reads alone',
  ),
  choice(
    'mode',
    ['snapshot'],
    'snapshot',
    'with --follow-only: how the copy is kept; snapshot: in rounds, and readers see whole ones only',
  ),
  duration(
    'every',
    [SECOND_MS, DAY_MS],
    30 * SECOND_MS,
    'with --follow-only: a round begins so often, and reads are at least that much behind',
  ),
  text('join', 'addresses', null, 'host:control,...', 'join the cluster of these nodes'),
  SECRET_FILE,
  OTHER_SECRET_FILE,
  ...TLS_FILES,
  ...PASSWORD,
  flag('insecure', 'listen on an address that other machines reach, although anybody may ask'),
  ...CLUSTER_OPTIONS,
  ...PROCESS_OPTIONS,
  bytes('resp-bulk-max', [KB, 512 * MB], 512 * MB, 'largest argument of a command'),
  integer('resp-arguments-max', [16, 1_048_576], 1_048_576, 'count', 'most arguments of a command'),
  bytes('resp-query-max', [64 * KB, GB], GB, 'most bytes of one unfinished command'),
  bytes(
    'resp-transit-max',
    [MB, 64 * GB],
    256 * MB,
    'per worker: large commands that are still arriving, and copies a follower sends; others wait',
  ),
];

export const UP_OPTIONS: readonly OptionRow[] = [
  integer('nodes', [1, 32], 3, 'count', 'how many nodes to run'),
  integer(
    'base-port',
    [1, 65_003],
    7400,
    'port',
    'node i listens on base + i for clients, + 100 replication, + 200 control, + 300 HTTP, ' +
      '+ 400 cluster, + 500 follower',
  ),
  text(
    'data-dir',
    'path',
    null,
    'folder',
    'keep the nodes here, to start them again later; ' +
      'a temporary folder, removed at the end, unless set',
  ),
  {
    ...SECRET_FILE,
    doc: "the cluster's secret; the file secret in the data dir unless set, made where it is missing",
  },
  ...PASSWORD,
  ...CLUSTER_OPTIONS,
  ...PROCESS_OPTIONS,
];

/** `status`, `verify`, `promote`, `leave` and `capacity`. */
export const ASK_OPTIONS: readonly OptionRow[] = [
  text(
    'node',
    'address',
    null,
    'host:control',
    'control address of any node of the cluster; ' +
      'the first node of a running "ingot up" that answers, else 127.0.0.1:7600, unless set',
  ),
  {
    ...SECRET_FILE,
    doc: 'the cluster\'s secret; that of a running "ingot up" of this user unless set',
  },
  ...TLS_FILES,
  flag('json', 'print JSON'),
];

export const PROMOTE_OPTIONS: readonly OptionRow[] = [
  ...ASK_OPTIONS,
  flag(
    'accept-loss',
    'where a partition has no primary because no copy in sync is left: make do with the copy that is named',
  ),
];

/** Of a cluster whose clients need one, as `import` and `restore` are. */
const CLIENT_PASSWORD: readonly OptionRow[] = PASSWORD.map((row) => ({
  ...row,
  doc: row.doc.replace(
    'what clients must give with AUTH or HELLO',
    'what the cluster asks of clients',
  ),
}));

const TO: OptionRow = text(
  'to',
  'text',
  '127.0.0.1:7400',
  'host:port',
  'client port of any node of the cluster that is filled',
);

export const IMPORT_OPTIONS: readonly OptionRow[] = [
  TO,
  ...CLIENT_PASSWORD,
  text(
    'source-password-file',
    'path',
    null,
    'file',
    'the password of the source, where it is not in SOURCE (chmod 600)',
  ),
  text(
    'source-ca',
    'path',
    null,
    'file',
    'PEM certificates that a rediss:// source is trusted by; those of the system unless set',
  ),
  flag('replace', 'overwrite keys that are there already; else they stay as they are'),
  text(
    'rate',
    'text',
    null,
    'keys|size',
    'at most so many keys per second (5000), or bytes per second (20mb); as fast as it goes unless set',
  ),
  text(
    'state',
    'path',
    null,
    'file',
    'how far the import has come, for the same command to go on from; ingot-import-HOST-PORT-DB.json in this folder unless set',
  ),
  flag('json', 'print JSON'),
];

export const BACKUP_OPTIONS: readonly OptionRow[] = [
  {
    ...TO,
    env: 'INGOT_BACKUP_TO',
    type: 'path',
    default: null,
    unit: 'file',
    doc: 'the file to write; it must not be there yet',
  },
  ...ASK_OPTIONS,
];

export const INSPECT_OPTIONS: readonly OptionRow[] = [
  flag('verify', 'read all of it, and compare every chunk with its checksum'),
  flag('json', 'print JSON'),
];

export const RESTORE_OPTIONS: readonly OptionRow[] = [
  text('from', 'path', null, 'file', 'the backup'),
  TO,
  ...CLIENT_PASSWORD,
  flag('replace', 'also where the cluster holds keys: those of the backup are written over them'),
  flag('json', 'print JSON'),
];
