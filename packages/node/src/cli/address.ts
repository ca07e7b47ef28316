/** What an address means: whether other machines can reach it, and its host and port apart. */
import { isIPv4, isIPv6 } from 'node:net';

export function isLoopback(host: string): boolean {
  if (isIPv4(host)) return host.startsWith('127.');
  return host === '::1' || host === 'localhost';
}

/** Every address of this machine: fit to listen on, not to be told to others. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || (isIPv6(host) && /^[0:]+$/.test(host));
}

/** `host:port`, with the brackets that IPv6 needs. */
export function hostPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}
