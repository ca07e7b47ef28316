/** One measured copy. */

export interface SyncCase {
  readonly records: number;
  /** SETs a second to the primary while it is copied; 0 = none. */
  readonly writes: number;
  /** Of `ingot serve --sync-rate`; null = what it is unless set. */
  readonly syncRate: string | null;
}

/** Milliseconds from the moment at which a command was due to its reply, and from its sending. */
export interface Latencies {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly p99FromSending: number;
}

export interface Cost {
  readonly wallMs: number;
  /** Seconds. */
  readonly primaryCpu: number;
  readonly followerCpu: number;
}

export interface SyncResult extends Cost {
  /** Until a CHECK pass has proved the copies equal; null where there is no such thing. */
  readonly checked: Cost | null;
  /** What the primary, with what it forked, held at most beyond what it held before. */
  readonly extraBytes: number | null;
  readonly latency: { readonly idle: Latencies; readonly during: Latencies } | null;
}
