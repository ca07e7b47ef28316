/** docs/failures.md, docs/operations.md and docs/limits.md name only what exists: log events, metrics, refusals, reasons, sentences of the
 *  log, commands and options. And failures.md leaves out no event, metric, refusal or reason of replication. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { COMMANDS } from '../../packages/node/src/cli/program.ts';
import { PEER_REFUSAL_REASONS } from '../../packages/replication/src/peer-refusals.ts';
import { SYNC_REASON_LABELS } from '../../packages/replication/src/sync-progress.ts';
import { REFUSAL_CODES, SYNC_KINDS, SYNC_REASONS } from '../../packages/replication/src/welcome.ts';

const repository = join(import.meta.dirname, '..', '..');
const packages = join(repository, 'packages');
const page = readFileSync(join(repository, 'docs', 'failures.md'), 'utf8');
const operations = readFileSync(join(repository, 'docs', 'operations.md'), 'utf8');
const source = readdirSync(packages, { recursive: true, encoding: 'utf8' })
  .filter((file) => /^[a-z]+\/src\/.*\.ts$/.test(file) && !/\.(test|fixture)\.ts$/.test(file))
  .map((file) => readFileSync(join(packages, file), 'utf8'))
  .join('\n');

/** What stands in backticks. */
const words = inBackticks(page);
/** Of each page. */
const pages: [string, Set<string>][] = [
  ['failures.md', words],
  ['operations.md', inBackticks(operations)],
  ['limits.md', inBackticks(readFileSync(join(repository, 'docs', 'limits.md'), 'utf8'))],
];

const replicationEvents = allMatches(
  readFileSync(join(packages, 'replication', 'src', 'events.ts'), 'utf8'),
  /^\s+\| '(\w+)'/gm,
);
/** The others are dotted: `node.down`. */
const nodeEvents = new Set(allMatches(source, /'([a-z]\w*\.[a-zA-Z]\w*)'/g));
const metrics = new Set([
  ...allMatches(source, /\b(?:counter|gauge)\(\s*registry,\s*'(\w+)'/g).map(
    (name) => `ingot_${name}`,
  ),
  ...allMatches(source, /\[\s*'(\w+_total)',/g).map((name) => `ingot_${name}`),
  ...allMatches(source, /\bname: '(ingot_\w+)'/g),
]);
const replicationMetrics = allMatches(
  readFileSync(join(packages, 'node', 'src', 'metrics', 'replication-metrics.ts'), 'utf8'),
  /\b(?:counter|gauge)\(\s*registry,\s*'(\w+)'/g,
).map((name) => `ingot_${name}`);
/** Not about failures. */
const OTHER_METRICS = ['ingot_map_version'];

test('the lists that the page is compared with are really there', () => {
  expect(words.size).toBeGreaterThan(80);
  expect(replicationEvents).toContain('connectionLost');
  expect(nodeEvents).toContain('node.down');
  expect(replicationMetrics).toContain('ingot_partitions_lost');
});

test.each(pages)('every metric on %s exists', (_, said) => {
  const named = [...said].filter((word) => word.startsWith('ingot_'));
  expect(named.filter((name) => !metrics.has(name))).toEqual([]);
});

test('every metric of replication is on the page', () => {
  const missing = replicationMetrics.filter((name) => !words.has(name));
  expect(missing.filter((name) => !OTHER_METRICS.includes(name))).toEqual([]);
});

test.each(pages)('every event on %s exists', (_, said) => {
  const dotted = [...said].filter((word) => /^[a-z]\w*\.[a-z]\w*$/i.test(word));
  expect(dotted.filter((word) => !nodeEvents.has(word))).toEqual([]);
  const known = new Set<string>([...replicationEvents, ...REFUSAL_CODES, ...PEER_REFUSAL_REASONS]);
  const camel = [...said].filter((word) => /^[a-z]+[A-Z]\w*$/.test(word));
  expect(camel.filter((word) => !known.has(word))).toEqual([]);
});

test('every event, refusal and reason of replication is on the page', () => {
  const all = [
    ...replicationEvents,
    ...REFUSAL_CODES,
    ...PEER_REFUSAL_REASONS,
    ...SYNC_REASONS,
    ...Object.values(SYNC_REASON_LABELS),
  ];
  expect(all.filter((word) => !words.has(word))).toEqual([]);
  expect(SYNC_KINDS.filter((kind) => !page.includes(`\n| ${kind} |`))).toEqual([]);
});

test('every sentence that the page quotes from the log is in the source', () => {
  const sentences = [...words].filter((word) => /^[a-zA-Z]+ [a-z]+ [a-z]/.test(word));
  expect(sentences.length).toBeGreaterThan(10);
  const spoken = source.replaceAll(/\$\{\w+\}/g, '5');
  const missing = sentences.filter((sentence) =>
    sentence.split(': ').some((piece) => !spoken.includes(piece)),
  );
  expect(missing).toEqual([]);
});

test('every command and option of ingot on operations.md exists', () => {
  const commands = COMMANDS.map(({ name }) => name);
  const said = [...pages[1][1]].join('\n');
  expect(allMatches(said, /\bingot (\w+)/g).filter((name) => !commands.includes(name))).toEqual([]);
  const options = new Set(COMMANDS.flatMap((command) => command.options.map(({ name }) => name)));
  const named = allMatches(said, /--([a-z-]+)/g);
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !options.has(name))).toEqual([]);
});

function inBackticks(text: string): Set<string> {
  return new Set([...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]));
}

function allMatches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1]);
}
