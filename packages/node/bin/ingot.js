#!/usr/bin/env node
/**
 * Starts `ingot` under the right Node. Plain JavaScript for Node 18 and later, because it may run
 * under whatever Node a machine happens to have.
 *
 * It finds Node 24.20 or later (itself, else the one that npm installed beside the project), asks
 * glibc for huge pages where the kernel grants them, chooses the sources (inside the repository) or
 * the built files, and becomes that process. Where this Node cannot replace itself, it stands in
 * front: signals and exit code pass through, and the child ends when this process does, because the
 * pipe it holds (see src/cli/lifeline.ts) closes however a process ends.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const NODE_NEEDED = [24, 20];
const EXIT_REFUSED = 4;
const LIFELINE_FD = 3;
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];

const packageDir = dirname(dirname(fileURLToPath(import.meta.url)));

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > NODE_NEEDED[0] || (major === NODE_NEEDED[0] && minor >= NODE_NEEDED[1]);
}

/** The path of a Node that can run Ingot, or null. */
function findNode() {
  if (isNewEnough(process.versions.node)) return process.execPath;
  const name = `node-${process.platform}-${process.arch}`;
  for (const from of [packageDir, process.cwd()]) {
    try {
      const require = createRequire(pathToFileURL(join(from, 'package.json')));
      const manifestPath = require.resolve(`${name}/package.json`);
      const { version } = JSON.parse(readFileSync(manifestPath, 'utf8'));
      const node = join(dirname(manifestPath), 'bin', 'node');
      if (isNewEnough(version) && existsSync(node)) return node;
    } catch {
      // Not installed there: look in the next place.
    }
  }
  return null;
}

/** GLIBC_TUNABLES with huge pages asked for; what the variable already says stays and wins. */
function glibcTunables() {
  const given = process.env.GLIBC_TUNABLES ?? '';
  if (given.includes('glibc.malloc.hugetlb=')) return given;
  return given === '' ? 'glibc.malloc.hugetlb=1' : `${given}:glibc.malloc.hugetlb=1`;
}

function kernelGrantsHugePages() {
  try {
    const modes = readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8');
    return modes.includes('[madvise]') || modes.includes('[always]');
  } catch {
    return false;
  }
}

function programArguments() {
  const source = join(packageDir, 'src', 'cli', 'main.ts');
  return existsSync(source)
    ? ['--conditions=source', source]
    : [join(packageDir, 'dist', 'cli', 'main.js')];
}

function standInFront(node, args, env) {
  const child = spawn(node, args, {
    env: { ...env, INGOT_LIFELINE_FD: String(LIFELINE_FD) },
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
  });
  for (const signal of FORWARDED_SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => refuse(`${node} cannot be started (${error.message}).`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    // Reached only where the signal is one that this process survives.
    process.exit(128 + constants.signals[signal]);
  });
}

function refuse(sentence) {
  process.stderr.write(`ingot: ${sentence}\n`);
  process.exit(EXIT_REFUSED);
}

const node = findNode();
if (node === null) {
  refuse(
    `Node ${NODE_NEEDED.join('.')} or later is needed and this is ${process.versions.node}; ` +
      `install it, or run "npm install node-${process.platform}-${process.arch}@24" in your project.`,
  );
} else {
  const args = [...process.execArgv, ...programArguments(), ...process.argv.slice(2)];
  const env = { ...process.env };
  if (kernelGrantsHugePages()) env.GLIBC_TUNABLES = glibcTunables();
  if (typeof process.execve === 'function') {
    // execve is marked experimental; that is no news to whoever starts a cache.
    process.removeAllListeners('warning');
    process.execve(node, [node, ...args], env);
  } else {
    standInFront(node, args, env);
  }
}
