/** Which process opened a TCP connection to this machine, from its own end of it: the kernel lists every socket with
 *  its inode, and every process with the inodes that it holds. Nodes do not say who they are on each of their
 *  connections, and all of them come from one loopback address. IPv4 only. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LOCAL = 1;
const REMOTE = 2;
const INODE = 9;

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Connection {
  /** The connecting end. */
  readonly from: Address;
  readonly to: Address;
}

/** Of each connection, and of those processes, the one that holds the connecting end; null where it is another one, or
 *  gone. All in one look, because a look takes some ms. */
export function connectingProcesses(
  connections: readonly Connection[],
  pids: readonly number[],
): (number | null)[] {
  const wanted = new Set(connections.map(nameOf));
  const inodes = new Map<string, string>();
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const fields = line.trim().split(/\s+/);
    const name = `${fields[LOCAL]} ${fields[REMOTE]}`;
    if (wanted.has(name)) inodes.set(`socket:[${fields[INODE]}]`, name);
  }
  const holders = new Map(
    pids.flatMap((pid) => holding(pid, inodes).map((name) => [name, pid] as const)),
  );
  return connections.map((connection) => holders.get(nameOf(connection)) ?? null);
}

function nameOf({ from, to }: Connection): string {
  return `${kernelAddress(from)} ${kernelAddress(to)}`;
}

/** As in /proc/net/tcp: the four bytes of the address backwards, in hexadecimal, and the port. */
function kernelAddress({ host, port }: Address): string {
  const hex = (value: number, digits: number): string =>
    value.toString(16).toUpperCase().padStart(digits, '0');
  const bytes = host.split('.').map(Number).toReversed();
  return `${bytes.map((byte) => hex(byte, 2)).join('')}:${hex(port, 4)}`;
}

/** Names of those connections that the process holds. */
function holding(pid: number, inodes: ReadonlyMap<string, string>): string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).flatMap((fd) => inodes.get(targetOf(`${folder}/${fd}`)) ?? []);
  } catch {
    return []; // it has ended meanwhile
  }
}

function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // closed meanwhile
  }
}
