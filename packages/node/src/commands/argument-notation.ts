/** Arguments of commands as COMMAND DOCS tells them, and a short notation for them:
 *
 *      key<key>#0  condition<oneof>@2.6.12?(nx<pure-token>=NX xx<pure-token>=XX)
 *
 *  is a name, its type (string unless given), then in this order what there is of: `=` token, `@` the
 *  version that had it first, `!` the version that deprecated it, `#` the key specification it belongs
 *  to, and flags: `?` optional, `*` multiple, `+` the token is repeated, too; and its own arguments in
 *  brackets. */

export interface Argument {
  readonly name: string;
  readonly type: string;
  readonly keySpec: number | null;
  readonly token: string | null;
  readonly since: string | null;
  readonly deprecated: string | null;
  readonly flags: readonly string[];
  readonly arguments: readonly Argument[];
}

const USUAL_TYPE = 'string';

const FLAGS: readonly (readonly [mark: string, flag: string])[] = [
  ['?', 'optional'],
  ['*', 'multiple'],
  ['+', 'multiple_token'],
];

const ONE =
  /^([^\s<()=@!#?*+]+)(?:<([\w-]+)>)?(?:=((?:[^\s()@!#?*+]|\+(?=\w))+))?(?:@([\d.]+))?(?:!([\d.]+))?(?:#(\d+))?([?*+]*)$/;

/** What the notation says. */
export function readArguments(text: string): Argument[] {
  const words = text.match(/[()]|[^\s()]+/g) ?? [];
  let at = 0;
  const list = (): Argument[] => {
    const found: Argument[] = [];
    while (at < words.length && words[at] !== ')') {
      const bare = readOne(words[at++]);
      const isParent = words[at] === '(';
      if (isParent) at++;
      found.push(isParent ? { ...bare, arguments: list() } : bare);
      if (isParent) at++;
    }
    return found;
  };
  return list();
}

function readOne(word: string): Argument {
  const parts = ONE.exec(word);
  if (parts === null) throw new Error(`no argument is written like this: ${word}`);
  const [, name, type, token, since, deprecated, keySpec, marks] = parts;
  return {
    name,
    type: type ?? USUAL_TYPE,
    keySpec: keySpec === undefined ? null : Number(keySpec),
    token: token ?? null,
    since: since ?? null,
    deprecated: deprecated ?? null,
    flags: FLAGS.filter(([mark]) => marks.includes(mark)).map(([, flag]) => flag),
    arguments: [],
  };
}

/** The notation of some arguments. */
export function writeArguments(list: readonly Argument[]): string {
  return list.map(writeOne).join(' ');
}

function writeOne(argument: Argument): string {
  const { name, type, token, since, deprecated, keySpec, flags } = argument;
  const parts = [
    name,
    type === USUAL_TYPE ? '' : `<${type}>`,
    token === null ? '' : `=${token}`,
    since === null ? '' : `@${since}`,
    deprecated === null ? '' : `!${deprecated}`,
    keySpec === null ? '' : `#${keySpec}`,
    ...FLAGS.map(([mark, flag]) => (flags.includes(flag) ? mark : '')),
    argument.arguments.length === 0 ? '' : `(${writeArguments(argument.arguments)})`,
  ];
  return parts.join('');
}
