import { describe, expect, it } from 'vitest';
import { COMMANDS_MAX } from '../metrics/layout.ts';
import { readArguments, writeArguments } from './argument-notation.ts';
import { argumentsOf } from './command-docs.ts';
import { keySpecsOf } from './command-metadata.ts';
import { latencyGraph } from './latency-graph.ts';
import { SingleNode } from './single-node.fixture.ts';
import { COMMANDS, commandIndexByName, commandNames } from './table.ts';

/** Which take some all the same: as Redis says of them, and what nodes alone send. */
const WITHOUT_ARGUMENTS: readonly string[] = [
  ...['ingot.scan', 'quit', 'command|getkeys', 'command|getkeysandflags'],
];

describe('the command table', () => {
  it('names are lower case and unique, and fit the counters', () => {
    expect(new Set(commandNames).size).toBe(commandNames.length);
    expect(commandNames.every((name) => name === name.toLowerCase())).toBe(true);
    expect(commandNames.length).toBeLessThanOrEqual(COMMANDS_MAX);
  });

  it('an index stands for a name in any case', () => {
    expect(COMMANDS[commandIndexByName('gEt')].name).toBe('get');
    expect(commandIndexByName('nosuch')).toBe(-1);
  });

  it('reads and writes name keys; writes of several keys are one transaction', () => {
    const keyed = COMMANDS.filter(({ kind }) => kind === 'read' || kind === 'write');
    const broken = keyed.filter(
      ({ keys, kind, split, atomic }) =>
        keys.first < 1 ||
        (split !== undefined && keys.last !== -1) ||
        (kind === 'write' && keys.last !== keys.first && atomic !== true),
    );
    expect(broken).toEqual([]);
  });
});

describe('COMMAND', () => {
  const node = new SingleNode();

  it('COUNT, LIST and the bare command agree', () => {
    const all = node.ask('COMMAND') as unknown[][];
    expect(node.ask('COMMAND', 'COUNT')).toBe(all.length);
    const listed = node.ask('COMMAND', 'LIST') as string[];
    expect(listed.filter((name) => !name.includes('|'))).toEqual(all.map(([name]) => name));
    expect(listed).toContain('client|id');
  });

  it('every command that names keys says what it does to them', () => {
    const rows = COMMANDS.flatMap((row) => [row, ...row.subcommands]);
    const mute = rows.filter((row) => row.keys.first > 0 && keySpecsOf(row).length === 0);
    expect(mute.map(({ name }) => name)).toEqual([]);
  });

  it('GETKEYS and GETKEYSANDFLAGS find the keys of a command', () => {
    expect(node.ask('COMMAND', 'GETKEYS', 'MSET', 'a', '1', 'b', '2')).toEqual(['a', 'b']);
    expect(node.ask('COMMAND', 'GETKEYS', 'OBJECT', 'ENCODING', 'a')).toEqual(['a']);
    expect(node.ask('COMMAND', 'GETKEYSANDFLAGS', 'DELEX', 'a', 'IFEQ', 'b')).toEqual([
      ['a', ['RW', 'delete']],
    ]);
    const error = (text: string) => ({ error: `ERR ${text}` });
    const ask = (...words: string[]) => node.ask('COMMAND', 'GETKEYS', ...words);
    expect(ask('PING', 'a')).toEqual(error('The command has no key arguments'));
    expect(ask('NOSUCH', 'a')).toEqual(error('Invalid command specified'));
    expect(ask('GET', 'a', 'b')).toEqual(
      error('Invalid number of arguments specified for command'),
    );
  });

  it('INFO describes commands and subcommands, nil for unknown ones', () => {
    const [get, , id] = node.ask('COMMAND', 'INFO', 'GET', 'nosuch', 'client|id') as unknown[][];
    expect(get.slice(0, 6)).toEqual(['get', 2, ['readonly', 'fast'], 1, 1, 1]);
    expect(id.slice(0, 2)).toEqual(['client|id', 2]);
    expect(node.ask('COMMAND', 'INFO', 'nosuch')).toEqual([null]);
  });

  it('LIST filters by pattern and category', () => {
    expect(node.ask('COMMAND', 'LIST', 'FILTERBY', 'PATTERN', 'get*')).toEqual([
      'get',
      'getset',
      'getdel',
      'getex',
      'getrange',
      'getbit',
    ]);
    expect(node.ask('COMMAND', 'LIST', 'FILTERBY', 'ACLCAT', 'transaction')).toEqual([
      'multi',
      'exec',
      'discard',
      'watch',
      'unwatch',
    ]);
    expect(node.ask('COMMAND', 'LIST', 'FILTERBY', 'PATTERN', 'slowlog|*e*')).toEqual([
      ...['slowlog|get', 'slowlog|len', 'slowlog|reset', 'slowlog|help'],
    ]);
    expect(node.ask('COMMAND', 'LIST', 'FILTERBY', 'MODULE', 'x')).toEqual([]);
    expect(node.ask('COMMAND', 'LIST', 'x')).toEqual({ error: 'ERR syntax error' });
  });

  it('DOCS says what a command does', () => {
    expect(node.ask('COMMAND', 'DOCS', 'get', 'nosuch')).toEqual([
      'get',
      [
        ...['summary', 'Returns the value of a key.', 'since', '1.0.0', 'group', 'string'],
        ...['arguments', [['name', 'key', 'type', 'key', 'key_spec_index', 0]]],
      ],
    ]);
  });
});

describe('the notation of arguments', () => {
  it('reads what it has written', () => {
    const text =
      'key<key>#0 a/b ip:port=ADDR@6.2.0!7.0.0? c<oneof>?*(x<pure-token>=X y<block>=Y*+(z)) d*';
    const list = readArguments(text);
    expect(writeArguments(list)).toBe(text);
    expect(list[3].arguments[1]).toEqual({
      ...{ name: 'y', type: 'block', keySpec: null, token: 'Y', since: null, deprecated: null },
      flags: ['multiple', 'multiple_token'],
      arguments: [expect.objectContaining({ name: 'z', type: 'string' })],
    });
    expect(() => readArguments('a<b>c')).toThrow('no argument is written like this');
  });

  it('says of every command what it takes, or that it takes nothing', () => {
    const rows = COMMANDS.flatMap((row) => (row.subcommands.length > 0 ? row.subcommands : [row]));
    const wrong = rows.filter(({ name, arity }) => {
      const words = name.includes('|') ? 2 : 1;
      return arity === words && argumentsOf(name).length > 0;
    });
    const mute = rows.filter(({ name, arity }) => {
      const words = name.includes('|') ? 2 : 1;
      return arity !== words && argumentsOf(name).length === 0;
    });
    expect(wrong.map(({ name }) => name)).toEqual([]);
    expect(mute.map(({ name }) => name)).toEqual(WITHOUT_ARGUMENTS);
  });
});

describe('unknown commands', () => {
  const node = new SingleNode();

  it('have the text of Redis, with the beginnings of their arguments', () => {
    expect(node.ask('foo', 'bar', 'b\r\nz')).toEqual({
      error: "ERR unknown command 'foo', with args beginning with: 'bar' 'b  z' ",
    });
    const { error } = node.ask('foo', 'x'.repeat(1_000)) as { error: string };
    expect(error.length).toBeLessThan(200);
  });

  it.each([
    ['LPUSH', /^ERR unknown command 'LPUSH': Ingot holds strings only, no lists/],
    ['hset', /^ERR unknown command 'hset': Ingot holds strings only, no hashes/],
    ['EVALSHA', /^ERR unknown command 'EVALSHA': Ingot runs no scripts/],
    ['SUBSCRIBE', /^ERR unknown command 'SUBSCRIBE': publish and subscribe are not yet supported/],
    ['ACL', /users are not yet supported/],
    ['REPLICAOF', /roles come from the cluster map alone/],
    ['DEBUG', /it is about the inside of Redis/],
    ['MIGRATE', /DUMP and RESTORE carry values elsewhere \(COMMAND LIST names what there is\)$/],
    ['JSON.GET', /^ERR unknown command 'JSON.GET': Ingot has no modules/],
  ])('%s says what is missing', (name, text) => {
    expect(node.ask(name, 'a', 'b')).toEqual({ error: expect.stringMatching(text) });
  });
});

describe('unknown subcommands', () => {
  const node = new SingleNode();

  it.each([
    [
      'CLIENT',
      'TRACKING',
      /^ERR unknown subcommand 'TRACKING': caches of clients are not yet told/,
    ],
    ['client', 'caching', /not yet told of changes \(CLIENT HELP names what there is\)$/],
    ['CLUSTER', 'MEET', /slots and nodes come from the cluster map alone/],
    ['CLIENT', 'NOSUCH', /^ERR unknown subcommand 'NOSUCH'\. Try CLIENT HELP\.$/],
  ])('%s %s says what is missing', (...words) => {
    const text = words.pop() as RegExp;
    expect(node.ask(...(words as string[]), 'x')).toEqual({
      error: expect.stringMatching(text),
    });
  });

  it.each([
    ['tls-port', /argument 'tls-port'\) - TLS for clients is not yet supported$/],
    ['TLS-CERT-FILE', /- TLS for clients is not yet supported$/],
    ['aclfile', /- users are not yet supported$/],
    ['tracking-table-max-keys', /- caches of clients are not yet told of changes$/],
  ])('CONFIG SET %s says what is missing', (name, text) => {
    expect(node.ask('CONFIG', 'SET', name, '1')).toEqual({ error: expect.stringMatching(text) });
  });
});

describe('CONFIG GET', () => {
  const node = new SingleNode();

  it('matches patterns in any case', () => {
    expect(node.ask('CONFIG', 'GET', 'SAVE')).toEqual(['save', '']);
    expect(node.ask('CONFIG', 'GET', 'append*', 'databases')).toEqual([
      'appendonly',
      'no',
      'databases',
      '1',
    ]);
    expect(node.ask('CONFIG', 'GET', 'maxmemory*')).toEqual([
      'maxmemory',
      String(8 * 2 ** 20),
      'maxmemory-clients',
      '0',
      'maxmemory-policy',
      'allkeys-lru',
    ]);
    for (const eviction of ['volatile-ttl', 'noeviction'] as const) {
      const other = new SingleNode({ eviction });
      expect(other.ask('CONFIG', 'GET', 'maxmemory-policy')).toEqual([
        'maxmemory-policy',
        eviction,
      ]);
    }
    expect(node.ask('CONFIG', 'GET', 'nosuch')).toEqual([]);
  });

  it('sets what is live, all of it or nothing, and says what to do about the rest', async () => {
    expect(
      await node.askLate('CONFIG', 'SET', 'slowlog-max-len', '5', 'Timeout', '60', 'save', ''),
    ).toBe('OK');
    expect(node.ask('CONFIG', 'GET', 'slowlog-max-len', 'timeout')).toEqual([
      ...['slowlog-max-len', '5', 'timeout', '60'],
    ]);
    const refused = (...words: string[]): unknown => node.ask('CONFIG', 'SET', ...words);
    expect(refused('timeout', '1', 'maxmemory', '1')).toEqual({
      error: expect.stringMatching(
        /argument 'maxmemory'\) - can't set .* run: ingot capacity SIZE$/,
      ),
    });
    expect(refused('maxclients', '0')).toEqual({
      error: expect.stringMatching(/must be between 1 and 2147483647 inclusive$/),
    });
    expect(refused('nosuch', '1')).toEqual({
      error: "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'",
    });
    expect(refused('timeout', '1', 'timeout', '2')).toEqual({
      error: expect.stringMatching(/duplicate parameter$/),
    });
    expect(node.ask('CONFIG', 'GET', 'timeout')).toEqual(['timeout', '60']);
    expect(await node.askLate('CONFIG', 'RESETSTAT')).toBe('OK');
  });
});

describe('INFO', () => {
  it('has the fields that clients and exporters read', async () => {
    const node = new SingleNode();
    node.ask('SET', 'a', '1');
    const info = (await node.askLate('INFO')) as string;
    const lines = info.split('\r\n');
    for (const line of [
      '# Server',
      'redis_version:7.2.0',
      'redis_mode:standalone',
      'tcp_port:7401',
      'uptime_in_seconds:5',
      'loading:0',
      'connected_clients:1',
      'total_commands_processed:3',
      'keyspace_hits:1',
      'sync_full:2',
      'role:master',
      'connected_slaves:1',
      'cluster_enabled:0',
      'db0:keys=1,expires=0,avg_ttl=0',
    ]) {
      expect(lines).toContain(line);
    }
    expect(info).toMatch(/\r\ningot_version:\d+\.\d+\.\d+\r\n/);
  });

  it('tells calls, errors and latencies, when asked for all or by name', async () => {
    const node = new SingleNode();
    const text = (await node.askLate(
      'INFO',
      'commandstats',
      'errorstats',
      'latencystats',
    )) as string;
    expect(text.split('\r\n').filter((line) => line !== '')).toEqual([
      '# Commandstats',
      'cmdstat_get:calls=4,usec=10,usec_per_call=2.50,rejected_calls=0,failed_calls=1',
      '# Errorstats',
      'errorstat_ERR:count=2',
      '# Latencystats',
      'latency_percentiles_usec_get:p50=2.500,p99=5.000,p99.9=5.000',
    ]);
    expect(await node.askLate('INFO')).not.toContain('cmdstat_');
    const all = (await node.askLate('INFO', 'all')) as string;
    expect(all).toContain('cmdstat_get:');
    expect(all).toContain('\r\nblocked_clients:1\r\n');
    expect(all).toContain('\r\ninstantaneous_ops_per_sec:7\r\n');
  });

  it('answers the sections asked for, and nothing for unknown ones', async () => {
    const node = new SingleNode({ listener: 'cluster' });
    expect(await node.askLate('INFO', 'Cluster')).toMatch(/^# Cluster\r\ncluster_enabled:1\r\n/);
    expect(await node.askLate('INFO', 'keyspace')).toBe('# Keyspace\r\n');
    expect(node.ask('INFO', 'nosuch')).toBe('');
    const two = (await node.askLate('INFO', 'cpu', 'clients')) as string;
    expect(two.match(/^# \w+/gm)).toEqual(['# Clients', '# CPU']);
    expect(await node.askLate('INFO', 'everything')).toContain('# Replication');
  });
});

describe('SLOWLOG and LATENCY', () => {
  const node = new SingleNode();

  it('SLOWLOG GET shows entries as Redis does', async () => {
    const entry = [5, 1_700_000_000, 12_345, ['keys', '*'], '127.0.0.1:50000', 'web'];
    expect(await node.askLate('SLOWLOG', 'GET')).toEqual([entry]);
    expect(await node.askLate('SLOWLOG', 'GET', '0')).toEqual([]);
    expect(await node.askLate('SLOWLOG', 'LEN')).toBe(1);
    expect(node.ask('SLOWLOG', 'GET', '-2')).toEqual({
      error: 'ERR count should be greater than or equal to -1',
    });
  });

  it('LATENCY GRAPH draws the samples of an event', async () => {
    const now = 1_700_000_000;
    const samples = [
      [101, 15],
      [201, 14],
      [301, 12],
      [500, 8],
      [401, 6],
    ].map(([ms, ago]) => ({ event: 'command', unixSeconds: now - ago, ms }));
    // The example of the command's page.
    expect(latencyGraph('command', samples, now).split('\n')).toEqual([
      'command - high 500 ms, low 101 ms (all time high 500 ms)',
      '-'.repeat(80),
      ...['   #_', '  _||', ' _|||', '_||||', '     ', '11186', '542ss', 'sss  ', ''],
    ]);
    const many = Array.from({ length: 100 }, () => samples[0]);
    expect(
      latencyGraph('command', many, now)
        .split('\n')
        .map(({ length }) => length),
    ).toEqual([...[56, 80, 80, 80, 80, 80, 80, 80, 80, 80, 0, 20, 20, 20, 20, 20, 20, 20, 20, 0]]);
    const graph = (await node.askLate('LATENCY', 'GRAPH', 'command')) as string;
    expect(graph).toContain('command - high');
    expect(await node.askLate('LATENCY', 'GRAPH', 'nosuch')).toEqual({
      error: "ERR No samples available for event 'nosuch'",
    });
  });

  it('LATENCY HISTOGRAM counts calls up to each bound', async () => {
    const of = ['calls', 4, 'histogram_usec', [1, 1, 3, 3, 5, 4]];
    expect(await node.askLate('LATENCY', 'HISTOGRAM')).toEqual(['get', of]);
    expect(await node.askLate('LATENCY', 'HISTOGRAM', 'set')).toEqual([]);
  });
});

describe('the process', () => {
  const node = new SingleNode();

  it('TIME is the clock of the batch, SAVE is refused, RESET begins anew', () => {
    expect(node.ask('TIME')).toEqual(['1700000000', '0']);
    expect(node.ask('SAVE')).toEqual({
      error: expect.stringMatching(/^ERR copies are saved by themselves/),
    });
    node.ask('HELLO', '3', 'SETNAME', 'web');
    expect(node.askRaw('RESET').toString()).toBe('+RESET\r\n');
    expect([node.session.name, node.session.protocol]).toEqual(['', 2]);
    expect(node.ask('SHUTDOWN', 'x')).toEqual({ error: 'ERR syntax error' });
    expect(node.ask('SHUTDOWN', 'ABORT')).toEqual({ error: 'ERR No shutdown in progress.' });
  });
});
