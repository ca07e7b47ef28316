/** packages/node/src/commands/argument-data.ts, made of what redis-server's COMMAND DOCS says of the
 *  commands that Ingot has: `npm run generate:arguments`, where a command comes to the table. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Argument,
  writeArguments,
} from '../../packages/node/src/commands/argument-notation.ts';
import { decodeReply, type Reply } from '../../packages/node/src/commands/reply.fixture.ts';
import { COMMANDS } from '../../packages/node/src/commands/table.ts';
import { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { needs } from '../support/tools.ts';
import { Conversation } from './conversation.ts';

const FILE = '../../packages/node/src/commands/argument-data.ts';
const WIDTH_MAX = 100;

const HEAD = `/** Made by npm run generate:arguments: what COMMAND DOCS of Redis 7.0 says of the arguments of commands, a
 *  command and its arguments in the notation of argument-notation.ts; a line that is indented goes on. */

export const ARGUMENT_DATA = \`
`;

/** Arguments by command, of commands and subcommands. */
export function documentedArguments(reply: Reply): Map<string, Argument[]> {
  const found = new Map<string, Argument[]>();
  for (const [name, docs] of fieldsOf(reply)) {
    const fields = fieldsOf(docs);
    const list = fields.get('arguments');
    if (list !== undefined) found.set(name, (list as Reply[]).map(argumentOf));
    for (const entry of documentedArguments(fields.get('subcommands') ?? [])) found.set(...entry);
  }
  return found;
}

function argumentOf(reply: Reply): Argument {
  const fields = fieldsOf(reply);
  const text = (field: string): string | null => (fields.get(field) as string | undefined) ?? null;
  if (fields.has('summary')) throw new Error('an argument has a summary, which no notation knows');
  return {
    name: `${text('name')}`,
    type: `${text('type')}`,
    keySpec: (fields.get('key_spec_index') as number | undefined) ?? null,
    token: text('token'),
    since: text('since'),
    deprecated: text('deprecated_since'),
    flags: (fields.get('flags') as string[] | undefined) ?? [],
    arguments: ((fields.get('arguments') as Reply[] | undefined) ?? []).map(argumentOf),
  };
}

function fieldsOf(reply: Reply): Map<string, Reply> {
  const flat = reply as Reply[];
  const pairs = flat.flatMap((name, i) => (i % 2 === 0 ? [[name as string, flat[i + 1]]] : []));
  return new Map(pairs as [string, Reply][]);
}

/** Lines of at most 100 characters, all but the first indented. */
function wrapped(text: string): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH_MAX) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(lines.length === 0 ? word : `  ${word}`);
  }
  return `${lines.join('\n')}\n`;
}

async function main(): Promise<void> {
  const redisServer = needs('redis-server');
  if (redisServer === null) process.exit(2);
  const folder = mkdtempSync(join(tmpdir(), 'ingot-arguments-'));
  const port = await freePort();
  const child = new Child(redisServer, ['--port', `${port}`, '--save', '', '--dir', folder]);
  try {
    const redis = await eventually('redis-server answers', () => Conversation.open(port));
    const [reply] = await redis.ask([['COMMAND', 'DOCS']]);
    redis.close();
    const documented = documentedArguments(decodeReply(reply));
    const names = COMMANDS.flatMap((row) => [row, ...row.subcommands].map(({ name }) => name));
    const lines = names.toSorted().flatMap((name) => {
      const list = documented.get(name);
      return list === undefined ? [] : [wrapped(`${name} ${writeArguments(list)}`)];
    });
    writeFileSync(join(import.meta.dirname, FILE), `${HEAD}${lines.join('')}\`;\n`);
  } finally {
    await child.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) await main();
