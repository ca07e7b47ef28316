/** What is asked of every data worker of a node, on behalf of a client of one: CLIENT LIST spans them all.
 *  The main thread passes the question on to each, and the answers back. Plain objects: they travel
 *  between threads. */

/** Conditions of CLIENT KILL; what is left out matches any. */
export interface ClientFilter {
  readonly id?: number;
  readonly address?: string;
  readonly localAddress?: string;
  readonly type?: string;
  /** This client asks: it is spared, or gets its reply first. */
  readonly askerId: number;
  readonly sparesAsker: boolean;
}

export interface ClientPauseOrder {
  /** `none` ends it. */
  readonly mode: 'none' | 'write' | 'all';
  readonly ms: number;
}

export interface SlowEntry {
  readonly id: number;
  readonly unixSeconds: number;
  readonly microseconds: number;
  /** latin1 */
  readonly words: readonly string[];
  readonly address: string;
  readonly clientName: string;
}

/** An event of the latency monitor, newest sample last. */
export interface LatencySample {
  readonly event: string;
  readonly unixSeconds: number;
  readonly ms: number;
}

/** Parameters of CONFIG SET that change at once. */
export interface LiveParameters {
  readonly maxClients: number;
  /** Of all clients together; below 0: so many per cent of the capacity; 0: no such limit. */
  readonly clientsBytes: number;
  /** 0: never */
  readonly idleSeconds: number;
  /** 0: never */
  readonly authSeconds: number;
  readonly outputHardBytes: number;
  readonly outputSoftBytes: number;
  readonly outputSoftSeconds: number;
  /** below 0: never */
  readonly slowlogSlowerThanUs: number;
  readonly slowlogMaxLength: number;
  /** 0: off */
  readonly latencyThresholdMs: number;
}

/** Name -> what is asked, what each worker answers. */
export interface WorkerQuestions {
  /** CLIENT LIST lines, without line ends. */
  readonly clientList: { readonly asked: null; readonly answer: readonly string[] };
  /** How many were ended. */
  readonly killClients: { readonly asked: ClientFilter; readonly answer: number };
  readonly pauseClients: { readonly asked: ClientPauseOrder; readonly answer: null };
  /** Whether it was waiting. */
  readonly unblockClient: {
    readonly asked: { readonly id: number; readonly withError: boolean };
    readonly answer: boolean;
  };
  readonly setLive: { readonly asked: Partial<LiveParameters>; readonly answer: null };
  readonly slowLog: { readonly asked: null; readonly answer: readonly SlowEntry[] };
  readonly resetSlowLog: { readonly asked: null; readonly answer: null };
  readonly latencySamples: { readonly asked: null; readonly answer: readonly LatencySample[] };
  /** These events, or all. */
  readonly resetLatency: {
    readonly asked: readonly string[] | null;
    readonly answer: readonly string[];
  };
  /** Error replies by their first word; clients that wait. */
  readonly clientFigures: {
    readonly asked: null;
    readonly answer: {
      readonly errors: Readonly<Record<string, number>>;
      readonly blocked: number;
    };
  };
  readonly resetFigures: { readonly asked: null; readonly answer: null };
}

export type WorkerQuestion = keyof WorkerQuestions;
export type Asked<K extends WorkerQuestion> = WorkerQuestions[K]['asked'];
export type WorkerAnswer<K extends WorkerQuestion> = WorkerQuestions[K]['answer'];
