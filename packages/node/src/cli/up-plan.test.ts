import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SERVE_OPTIONS, UP_OPTIONS } from './options.ts';
import { secretFileIn } from './secret.ts';
import { settingsFrom } from './serve-settings.ts';
import { firstCommand, type NodePlan, planNodes, restartCommand } from './up-plan.ts';
import { resolveOptions } from './values.ts';

function plan(flags: Record<string, unknown>, dataDir = '/data'): NodePlan[] {
  const given = { flags: { 'data-dir': dataDir, ...flags }, environment: {}, file: null };
  return planNodes(resolveOptions(UP_OPTIONS, given), dataDir, `${dataDir}/secret`);
}

test('up: node i listens on base + i and every hundred above it', () => {
  const ports = plan({ 'base-port': '7000', nodes: '2' }).map((node) => node.ports);
  expect(ports[1]).toEqual({
    client: 7002,
    replication: 7102,
    control: 7202,
    http: 7302,
    cluster: 7402,
    follower: 7502,
  });
});

test('up: node 1 founds the cluster, the others join through its control port', () => {
  const [first, ...others] = plan({}).map((node) => node.args.join(' '));
  expect(first).toContain('--found');
  expect(others).toHaveLength(2);
  for (const args of others) expect(args).toContain('--join 127.0.0.1:7601');
});

test('up: the founder alone is told what the cluster is like, every node how to run', () => {
  const plans = plan({
    ...{ capacity: '64mb', eviction: 'noeviction', workers: '2', prealloc: true },
    'scrub-every': '120s',
  });
  const texts = plans.map((node) => node.args.join(' '));
  expect(texts[0]).toContain(
    '--found --capacity 64mb --eviction noeviction --workers 2 --prealloc --scrub-every 2m',
  );
  expect(texts[1]).toContain('--join 127.0.0.1:7601 --workers 2 --prealloc --scrub-every 2m');
  expect(texts[1]).not.toContain('--capacity');
});

test('up: what stands at its default is left out', () => {
  expect(restartCommand(plan({})[0])).toBe(
    'npx ingot serve --id n1 --port 7401 --replication-port 7501 --control-port 7601 ' +
      '--http-port 7701 --cluster-port 7801 --follower-port 7901 --data-dir /data/n1 ' +
      '--secret-file /data/secret --found',
  );
});

test('up: nothing is saved in a folder that is removed at the end', () => {
  expect(restartCommand(plan({ 'data-dir': undefined })[0])).toContain('--checkpoint-every 0');
});

test('up: the restart command quotes what a shell would take apart', () => {
  expect(restartCommand(plan({}, "/it's here")[0])).toContain(`'/it'\\''s here/n1'`);
});

test('up: the command to try reads the password where there is one, and does not show it', () => {
  const [first] = plan({});
  expect(firstCommand(first, null)).toBe('redis-cli -p 7401 set hello world');
  expect(firstCommand(first, '/my data/password')).toBe(
    `REDISCLI_AUTH="$(cat '/my data/password')" redis-cli -p 7401 set hello world`,
  );
});

test('up: the arguments of each node are ones that serve accepts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-plan-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  secretFileIn(folder);
  for (const node of plan({ capacity: '2gb', 'capacity-max': '4gb', copies: '3' }, folder)) {
    const flags: Record<string, unknown> = {};
    for (let at = 1; at < node.args.length; at++) {
      const name = node.args[at].slice(2);
      const row = SERVE_OPTIONS.find((option) => option.name === name);
      flags[name] = row?.type === 'flag' ? true : node.args[++at];
    }
    const values = resolveOptions(SERVE_OPTIONS, { flags, environment: {}, file: null });
    expect(settingsFrom(values, {})).toMatchObject({ id: node.id, ports: node.ports });
  }
});
