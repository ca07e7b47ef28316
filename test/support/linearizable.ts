/** Whether what clients saw of registers is linearizable: one per key, every write with a value of its own.
 *
 *  Distinct values make it cheap. A value's write and all reads of it take effect next to each other, so the value
 *  stands at least from the first end to the last start among them (a forward zone), or, where those overlap, at some
 *  moment between (a backward zone). A history is linearizable exactly where no read precedes its write, no two
 *  forward zones overlap, and no backward zone lies within a forward one.
 *  Source: Gibbons, Korach: Testing shared memories (1997). */

export interface Operation {
  readonly kind: 'read' | 'write';
  readonly key: string;
  /** null = absent: what a key is before its first write. */
  readonly value: string | null;
  /** Any clock that all clients share; b follows a only where a.end < b.start. */
  readonly start: number;
  /** Infinity: nobody knows whether the write took effect, or when. Reads without an answer are left out. */
  readonly end: number;
}

/** One value's time. */
interface Zone {
  readonly value: string | null;
  readonly write: Operation | null;
  firstEnd: number;
  lastStart: number;
}

/** Null: linearizable. Otherwise a sentence about the first key, by name, that is not. */
export function linearizabilityBroken(history: readonly Operation[]): string | null {
  const byKey = Map.groupBy(history, ({ key }) => key);
  for (const key of [...byKey.keys()].sort()) {
    const broken = registerBroken(byKey.get(key) ?? []);
    if (broken !== null) return `key ${key}: ${broken}`;
  }
  return null;
}

function registerBroken(operations: readonly Operation[]): string | null {
  const initial: Zone = { value: null, write: null, firstEnd: -Infinity, lastStart: -Infinity };
  const zones = new Map<string | null, Zone>([[null, initial]]);
  for (const write of operations) {
    if (write.kind === 'read') continue;
    const { value, start, end } = write;
    if (zones.has(value)) return `${value} was written twice`;
    zones.set(value, { value, write, firstEnd: end, lastStart: start });
  }
  for (const { kind, value, start, end } of operations) {
    if (kind === 'write') continue;
    const zone = zones.get(value);
    if (zone === undefined) return `${value} was read and never written`;
    if (zone.write !== null && end < zone.write.start) {
      return `${value} was read (${start} to ${end}) before it was written (${zone.write.start})`;
    }
    zone.firstEnd = Math.min(zone.firstEnd, end);
    zone.lastStart = Math.max(zone.lastStart, start);
  }
  return zonesBroken([...zones.values()]);
}

function zonesBroken(zones: readonly Zone[]): string | null {
  // A write that nobody has an answer to, and whose value nobody read, may never have been.
  const known = zones.filter(({ firstEnd }) => firstEnd !== Infinity);
  const forward = known.filter(isForward).sort((a, b) => a.firstEnd - b.firstEnd);
  let latest: Zone | null = null;
  for (const zone of forward) {
    if (latest !== null && zone.firstEnd < latest.lastStart) return conflict(latest, zone);
    latest = zone;
  }
  for (const zone of known) {
    if (isForward(zone)) continue;
    const around = lastBefore(forward, zone.lastStart);
    if (around !== null && zone.firstEnd < around.lastStart) return conflict(around, zone);
  }
  return null;
}

function isForward({ firstEnd, lastStart }: Zone): boolean {
  return firstEnd < lastStart;
}

/** The last forward zone that begins before `at`. */
function lastBefore(forward: readonly Zone[], at: number): Zone | null {
  let low = 0;
  let high = forward.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (forward[middle].firstEnd < at) low = middle + 1;
    else high = middle;
  }
  return forward[low - 1] ?? null;
}

function conflict(outer: Zone, inner: Zone): string {
  const { value, firstEnd, lastStart } = outer;
  const time = `in force from ${firstEnd} to ${lastStart}`;
  const between = `between ${inner.firstEnd} and ${inner.lastStart}`;
  return `${value} was ${time}, and ${inner.value} was written or read ${between}`;
}
