/** The snippets of README.md and docs/clients.md, run as they stand, but for the ports. A line of theirs that
 *  awaits something and ends with a value in a comment must give that value. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { within } from '../support/eventually.ts';
import type { LocalCluster } from '../support/local-cluster.ts';

const root = join(import.meta.dirname, '..', '..');
const ENDS_WITHIN_MS = 30_000;
/** `await something; // 'its value'`; other comments are for people. */
const PROMISE = /^await (.+); \/\/ (['"[{\d<]|true$|false$|null$|undefined$)(.*)$/gm;
const IMPORT = /^import (?:(\w+)|(\{.+\})) from ('.+');$/gm;

export function snippetCases(cluster: () => LocalCluster): void {
  describe('snippets', () => {
    test.each(['README.md', 'docs/clients.md'])(
      '%s: each runs, and gives what it says',
      async (page) => {
        const text = readFileSync(join(root, page), 'utf8');
        const snippets = [...text.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, code]) => code);
        expect(snippets.length).toBeGreaterThan(1);
        const program = snippets.map((code) => `await (async () => {\n${runnable(code)}\n})();`);
        const child = new Child(
          process.execPath,
          ['--input-type=module', '--eval', `${CHECKS}${program.join('\n')}process.exit(0);`],
          { cwd: root },
        );
        const end = await within(`${page} ends`, ENDS_WITHIN_MS, child.ended);
        expect({ ...end, output: child.output }).toEqual({ code: 0, signal: null, output: '' });
      },
    );

    function runnable(code: string): string {
      return code
        .replaceAll(IMPORT, (_, whole: string | undefined, some = '', from) =>
          whole === undefined
            ? `const ${some} = await import(${from});`
            : `const { default: ${whole} } = await import(${from});`,
        )
        .replaceAll(PROMISE, 'deepStrictEqual(await ($1), $2$3);')
        .replaceAll(/\b7([489])0([123])\b/g, (_, kind, node) => {
          const { client, cluster: clustered, follower } = cluster().node(Number(node)).ports;
          return String({ 4: client, 8: clustered, 9: follower }[kind as '4']);
        });
    }
  });
}

const CHECKS = `import { deepStrictEqual } from 'node:assert';\n`;
