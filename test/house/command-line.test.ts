/** Bad input on the command line: one sentence on stderr that says what to do, and an exit code. */
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const launcher = join(import.meta.dirname, '..', '..', 'packages/node/bin/ingot.js');

function ingot(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const result = spawnSync(process.execPath, [launcher, ...args], { encoding: 'utf8' });
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
}

test('--version and help go to stdout', () => {
  expect(ingot('--version')).toEqual({ status: 0, stdout: '0.1.0\n', stderr: '' });
  const help = ingot('serve', '--help');
  expect(help.status).toBe(0);
  expect(help.stdout).toContain('--replication-port <port>');
  expect(help.stdout).toContain('INGOT_REPLICATION_PORT');
});

describe('wrong usage is exit code 2', () => {
  test.each([
    [['sreve'], "unknown command 'sreve' (did you mean serve?)"],
    [['serve', '--prot', '1'], "unknown option '--prot' (did you mean --port?)"],
    [['serve', '--port'], "option '--port <port>' argument missing"],
    [['up', 'now'], "too many arguments for 'up'"],
    [['up', '--nodes', '0'], '--nodes must be a whole number from 1 to 32, not "0"'],
    [['serve', '--partitions', '3'], '--partitions must be a power of two; 3 is none, 4 is'],
    [['serve', '--config', '/none.yaml'], '--config /none.yaml cannot be read as YAML (ENOENT'],
    [['promote', '3'], "missing required argument 'NODE'"],
    [['promote', 'three', 'n1'], 'PARTITION must be the number of a partition, not "three"'],
    [['capacity', 'much'], 'SIZE must be a size such as 512mb or 2gb, not "much"'],
    [['leave', '../n1'], 'NODE must be the id of a node, such as n1, not "../n1"'],
    [['import', 'localhost:6379'], 'SOURCE must be the address of a server such as redis://'],
    [['status', '--node', 'somewhere'], '--node must be a control address such as 127.0.0.1:7601'],
  ])('ingot %j', (args, sentence) => {
    expectSentence(ingot(...args), 2, sentence);
  });
});

describe('what is refused is exit code 4', () => {
  test('an address that other machines reach, without credentials', () => {
    expectSentence(ingot('serve', '--host', '0.0.0.0'), 4, 'or add --insecure');
  });
});

describe('nobody there is exit code 3', () => {
  test.each([['status'], ['verify'], ['promote', '1', 'n1'], ['leave', 'n1'], ['capacity', '2gb']])(
    'ingot %s',
    async (...args) => {
      const port = await unusedPort();
      const result = ingot(...args, '--node', `127.0.0.1:${port}`);
      expectSentence(result, 3, `the node at 127.0.0.1:${port} cannot be reached (ECONNREFUSED)`);
    },
  );
});

function expectSentence(result: ReturnType<typeof ingot>, status: number, sentence: string): void {
  expect(result.stderr).toMatch(/^ingot: [^\n]+\n$/);
  expect(result.stderr).toContain(sentence);
  expect(result.stdout).toBe('');
  expect(result.status).toBe(status);
}

/** A port that was free a moment ago. */
async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
