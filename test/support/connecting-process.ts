/** Which process opened a TCP connection to this machine, from its own end of it: the kernel lists every socket with
 *  its inode, and every process with the inodes that it holds. Nodes do not say who they are on each of their
 *  connections, and all of them come from one loopback address. IPv4 only. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LOCAL = 1;
const REMOTE = 2;
const INODE = 9;

/** Of those processes the one that holds the connecting end; null where it is another one, or gone. */
export function connectingProcess(
  from: { readonly host: string; readonly port: number },
  to: { readonly host: string; readonly port: number },
  pids: readonly number[],
): number | null {
  const inode = inodeOf(kernelAddress(from), kernelAddress(to));
  if (inode === null) return null;
  return pids.find((pid) => holds(pid, inode)) ?? null;
}

function inodeOf(local: string, remote: string): string | null {
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    if (!line.includes(local)) continue;
    const fields = line.trim().split(/\s+/);
    if (fields[LOCAL] === local && fields[REMOTE] === remote) return fields[INODE];
  }
  return null;
}

/** As in /proc/net/tcp: the four bytes of the address backwards, in hexadecimal, and the port. */
function kernelAddress({ host, port }: { host: string; port: number }): string {
  const hex = (value: number, digits: number): string =>
    value.toString(16).toUpperCase().padStart(digits, '0');
  const bytes = host.split('.').map(Number).toReversed();
  return `${bytes.map((byte) => hex(byte, 2)).join('')}:${hex(port, 4)}`;
}

function holds(pid: number, inode: string): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some((fd) => isSocket(`${folder}/${fd}`, inode));
  } catch {
    return false; // it has ended meanwhile
  }
}

function isSocket(path: string, inode: string): boolean {
  try {
    return readlinkSync(path) === `socket:[${inode}]`;
  } catch {
    return false; // closed meanwhile
  }
}
