import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const root = new URL('../', import.meta.url);
const example = new URL('examples/workers.js', root);

test('store: README: shows the example with worker threads as it is, and what it prints', async () => {
  const readme = await readFile(new URL('README.md', root), 'utf8');
  const code = await readFile(example, 'utf8');
  expect(readme).toContain(`<!-- examples/workers.js -->\n\`\`\`js\n${code}\`\`\`\n`);
  const flags = ['--conditions=source', fileURLToPath(example)];
  const { stdout } = await run(process.execPath, flags, { cwd: fileURLToPath(root) });
  expect(readme).toContain(`$ node examples/workers.js\n${stdout}\`\`\`\n`);
});
