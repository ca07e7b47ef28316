/** The rules of the house that the compiler does not hold: references run one way, a package shows
 *  one index.ts, and the outside world (clock, chance, network, disk, environment) comes in only
 *  through the files listed here. Adding a file to a list is a decision; say why beside it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const repository = join(import.meta.dirname, '..', '..');

interface Room {
  readonly name: string;
  /** Packages it may import, by name alone. */
  readonly packages: readonly string[];
  /** Node's modules it may import anywhere; null: all but those that OUTSIDE lists. */
  readonly builtins: readonly string[] | null;
}

const ROOMS: readonly Room[] = [
  { name: 'store', packages: [], builtins: ['node:buffer', 'node:zlib'] },
  {
    name: 'replication',
    packages: ['@ingot/store'],
    builtins: ['node:buffer', 'node:zlib', 'node:events'],
  },
  {
    name: 'node',
    packages: ['@ingot/store', '@ingot/replication', ...dependenciesOf('node')],
    builtins: null,
  },
];

/** What reaches outside, and the only files that may use it (tests aside). */
const OUTSIDE: readonly { what: RegExp; why: string; files: readonly RegExp[] }[] = [
  {
    what: /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/,
    why: 'time is passed in',
    files: [
      /^node\/src\/process\//, // the threads' entries and the supervisor: where time comes from
      /^node\/src\/serving\/(worker|batch|turn)\.ts$/, // one look at the clock per turn, and for what may take long
      /^node\/src\/lease\/(clocks|lease-word)\.ts$/, // what leases are measured with
      /^node\/src\/control\/control-node\.ts$/, // gives the coordinator its clock
      /^node\/src\/control\/control-client\.ts$/, // gRPC takes deadlines as points in time
      /^node\/src\/cli\/wall-clock\.ts$/, // rates and progress of commands that run to an end
      /^node\/src\/cli\/signals\.ts$/, // tells a second key press from an echo of the first
    ],
  },
  {
    what: /\bMath\.random\b/,
    why: 'chance is passed in',
    files: [/^node\/src\/(commands|serving)\/keyspace\.ts$/], // RANDOMKEY
  },
  {
    what: /['"]node:net['"]/,
    why: 'sockets stay at the edge',
    files: [
      /^replication\/src\/link\.ts$/, // the one file of replication that touches TCP
      /^replication\/src\/landing\.ts$/, // how its accepted sockets read
      /^replication\/src\/certificates\.ts$/, // types
      /^node\/src\/serving\//,
      /^node\/src\/control\/(control-server|proved-socket|peer-credentials)\.ts$/, // what is under gRPC
      /^node\/src\/resp\/resp-client\.ts$/, // what import and restore speak to servers with
      /^node\/src\/process\/ports\.ts$/, // asks whether a port is free
      /^node\/src\/process\/loading-doors\.ts$/, // says LOADING to whoever comes too early
      /^node\/src\/cli\//,
    ],
  },
  {
    what: /['"]node:tls['"]/,
    why: 'sockets stay at the edge',
    files: [
      /^replication\/src\/(link|certificates)\.ts$/, // the same connections under TLS; types
      /^node\/src\/control\/(control-server|peer-credentials)\.ts$/,
      /^node\/src\/resp\/resp-client\.ts$/, // sources of an import, rediss://
      /^node\/src\/cli\//, // whether a certificate and its key belong together
    ],
  },
  {
    what: /['"]node:crypto['"]/,
    why: 'secrets and chance stay at the edge',
    files: [
      /^replication\/src\/(preamble|link)\.ts$/, // proofs; the nonces they are made with
      /^replication\/src\/certificates\.ts$/, // types
      /^node\/src\//,
    ],
  },
  { what: /\bprocess\.env\b/, why: 'settings are passed in', files: [/^node\/src\/cli\//] },
  {
    what: /['"]node:process['"]/,
    why: 'the machine is not asked',
    files: [
      /^store\/src\/gate\.ts$/, // how this processor orders loads and stores
      /^node\/src\//,
    ],
  },
  {
    what: /['"]node:fs(\/promises)?['"]/,
    why: 'disk stays at the edge',
    files: [
      /^node\/src\/cli\//,
      /^node\/src\/process\/client-load\.ts$/, // the kernel's account of this process's threads
      /^node\/src\/commands\/version\.ts$/, // the version in package.json
      /^node\/src\/control\/(identity|data-dir-lock)\.ts$/, // the data dir
      /^node\/src\/register\/lmdb-acceptor-storage\.ts$/, // whether its file is a copy
      /^node\/src\/import\/state-file\.ts$/, // how far an import has come
      /^node\/src\/backup\/backup-(reader|writer)\.ts$/, // backups
      /^node\/src\/checkpoint\/(checkpoint-file|disk-space|lmdb-file|torn-file)\.ts$/, // what is saved
      /^node\/src\/redo-log\/lmdb-log-store\.ts$/, // what is logged
    ],
  },
];

describe.each(ROOMS)('room $name', ({ name, packages, builtins }) => {
  const sources = sourcesOf(name);

  test('has sources', () => expect(sources.length).toBeGreaterThan(1));

  test('imports only what lies before it, by index.ts alone', () => {
    const wrong = sources.flatMap(({ path, text }) =>
      importsOf(text)
        .filter((specifier) => !isAllowed(specifier, path))
        .map((specifier) => `${path}: ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  function isAllowed(specifier: string, path: string): boolean {
    if (specifier.startsWith('.')) {
      const target = resolve(repository, 'packages', path, '..', specifier);
      return !relative(join(repository, 'packages', name, 'src'), target).startsWith('..');
    }
    if (specifier.startsWith('node:')) return builtins === null || isBuiltinOf(specifier, path);
    const isOurs = specifier.startsWith('@ingot/');
    return packages.includes(isOurs ? specifier : packageOf(specifier));
  }

  function isBuiltinOf(specifier: string, path: string): boolean {
    if (builtins?.includes(specifier)) return true;
    return OUTSIDE.some(({ what, files }) => what.test(`'${specifier}'`) && isListed(path, files));
  }
});

test.each(OUTSIDE)('$why: nothing but the listed files matches $what', ({ what, files }) => {
  const wrong = ROOMS.flatMap((room) => sourcesOf(room.name))
    .filter(({ path, text }) => what.test(withoutComments(text)) && !isListed(path, files))
    .map(({ path }) => path);
  expect(wrong).toEqual([]);
});

test('a simulation takes clock and chance from its seed alone', () => {
  const folder = join(repository, 'test', 'sim');
  const outside =
    /\bDate\b|\bperformance\b|Math\.random|node:(net|fs|timers|process)|\bset(Timeout|Immediate)/;
  const wrong = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .filter((file) => file !== 'main.ts') // tells how fast it went
    .filter((file) => file !== 'cluster/rest.ts') // waits for promises, not for time
    .filter((file) => outside.test(withoutComments(readFileSync(join(folder, file), 'utf8'))));
  expect(wrong).toEqual([]);
});

interface Source {
  /** Below packages/. */
  readonly path: string;
  readonly text: string;
}

/** Everything that is shipped: no tests, no generated code. */
function sourcesOf(room: string): Source[] {
  const folder = join(repository, 'packages', room, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/\.(test|fixture)\.ts$/.test(file))
    .filter((file) => !file.split('/').includes('gen'))
    .map((file) => ({
      path: `${room}/src/${file}`,
      text: readFileSync(join(folder, file), 'utf8'),
    }));
}

function importsOf(text: string): string[] {
  const specifiers = /(?:\bfrom\s+|\bimport\s*\(?\s*)['"]([^'"\s]+)['"]/g;
  return [...withoutComments(text).matchAll(specifiers)].map((match) => match[1]);
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$|\s\/\/ .*$/gm, '');
}

function isListed(path: string, files: readonly RegExp[]): boolean {
  return files.some((file) => file.test(path));
}

/** `@scope/name/deep` -> `@scope/name`, `name/deep` -> `name`. */
function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function dependenciesOf(room: string): string[] {
  const manifest = readFileSync(join(repository, 'packages', room, 'package.json'), 'utf8');
  return Object.keys((JSON.parse(manifest) as { dependencies: object }).dependencies);
}
