/** What a node leaves open to others, said at each start. Pure. */
import type { Settings } from '../shared/settings.ts';
import { isLoopback } from './address.ts';

export interface OpenDoor {
  readonly event: 'insecure' | 'noSecret';
  readonly text: string;
}

export function openDoors({ host, credentials }: Settings): OpenDoor[] {
  const doors: OpenDoor[] = [];
  if (!isLoopback(host)) {
    const text =
      (credentials.password ?? null) === null
        ? `listening on ${host}, where clients need no password: whoever reaches it can read and write`
        : `listening on ${host}, where what clients send can be read on the way, their password too`;
    doors.push({ event: 'insecure', text });
  }
  if (credentials.secret === null && credentials.certificates === null) {
    const who = isLoopback(host) ? 'every process of this machine' : `whoever reaches ${host}`;
    const text =
      `no cluster secret: ${who} can act as a node of this cluster; ` +
      'start every node with the same --secret-file (make one with: ' +
      '(umask 077; openssl rand -base64 32 > ingot.secret))';
    doors.push({ event: 'noSecret', text });
  }
  return doors;
}
