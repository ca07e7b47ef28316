/** `redis://[[user]:password@]host[:port][/db]`, or rediss:// for TLS: where an import comes from. Pure. */
import { usageError } from '../shared/errors.ts';

export interface Source {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
}

const PORT = 6379;
const EXAMPLE = 'redis://127.0.0.1:6379/0';

export function sourceFrom(text: string): Source {
  const url = URL.parse(text);
  if (url === null || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '') {
    throw usageError(
      `SOURCE must be the address of a server such as ${EXAMPLE}, not "${hidden(text)}"`,
    );
  }
  const path = /^\/?(\d{1,9})?$/.exec(url.pathname);
  if (path === null || url.search !== '' || url.hash !== '') {
    throw usageError(
      `behind the address of SOURCE comes the number of a database, as in ${EXAMPLE}`,
    );
  }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? PORT : Number(url.port),
    isTls: url.protocol === 'rediss:',
    username: given(url.username),
    password: given(url.password),
    database: Number(path[1] ?? 0),
  };
}

function given(part: string): string | null {
  if (part === '') return null;
  try {
    return decodeURIComponent(part);
  } catch {
    throw usageError('a "%" in user or password of SOURCE is written %25');
  }
}

/** Without what may be a password. */
function hidden(text: string): string {
  return text.replace(/\/\/.*@/, '//...@');
}
