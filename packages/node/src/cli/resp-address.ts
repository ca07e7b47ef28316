/** Where clients of a cluster connect. */
import { usageError } from '../shared/errors.ts';
import type { RespAddress } from '../resp/resp-client.ts';

/** `host:port` of a client port. */
export function clientAddress(text: string, password: string | null): RespAddress {
  const match = /^(?:\[([^\]]+)\]|([^\s:]+)):(\d{1,5})$/.exec(text);
  if (match === null) throw usageError(`"${text}" is no address such as 127.0.0.1:7400`);
  const host = match[1] ?? match[2];
  return { host, port: Number(match[3]), tls: null, username: null, password, database: 0 };
}
