/** What deploy/ says is what the command understands, and what Prometheus accepts. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { SERVE_OPTIONS } from '../../packages/node/src/cli/options.ts';
import { settingsFrom } from '../../packages/node/src/cli/serve-settings.ts';
import { resolveOptions } from '../../packages/node/src/cli/values.ts';
import { debianTool } from '../debian-tools.ts';

const deploy = join(import.meta.dirname, '..', '..', 'deploy');
const dockerfile = readFileSync(join(deploy, 'Dockerfile'), 'utf8');

interface Service {
  hostname?: string;
  environment?: Record<string, string>;
}

const compose = parse(readFileSync(join(deploy, 'compose.yaml'), 'utf8'), { merge: true }) as {
  services: Record<string, Service>;
};
const nodes = Object.entries(compose.services).filter(([, service]) => service.environment);

describe('compose.yaml', () => {
  test('runs three nodes and Prometheus', () => {
    expect(Object.keys(compose.services)).toEqual(['n1', 'n2', 'n3', 'prometheus']);
  });

  test.each(nodes)('%s: its environment is understood, whole', (name, service) => {
    const environment = service.environment ?? {};
    const known = new Set(SERVE_OPTIONS.map((row) => row.env));
    expect(Object.keys(environment).filter((variable) => !known.has(variable))).toEqual([]);
    const values = resolveOptions(SERVE_OPTIONS, { flags: {}, environment, file: null });
    expect(settingsFrom(values, environment)).toMatchObject({
      id: name,
      advertise: service.hostname,
      found: name === 'n1',
      join: name === 'n1' ? [] : ['n1:7600'],
    });
  });
});

describe('Dockerfile', () => {
  test('exposes the ports that a node listens on by default', () => {
    const ports = SERVE_OPTIONS.filter((row) => row.unit === 'port').map((row) => row.default);
    expect(dockerfile).toContain(`EXPOSE ${ports.join(' ')}\n`);
  });

  test('does not run as root', () => expect(dockerfile).toMatch(/^USER node$/m));
});

const promtool = debianTool('promtool', 'prometheus');

test.runIf(promtool !== null)('prometheus.yml: promtool accepts it', () => {
  const result = spawnSync(promtool ?? '', ['check', 'config', join(deploy, 'prometheus.yml')]);
  expect(result.stderr.toString()).toBe('');
  expect(result.status).toBe(0);
});
