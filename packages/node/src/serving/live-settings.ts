/** What CONFIG SET changes while a node serves; each data worker has its own copy, changed by the same
 *  order. The values at start are those of the options, or Redis'. */

import type { RespLimits } from '../shared/settings.ts';
import type { LiveParameters } from '../shared/worker-questions.ts';

/** Commands are timed one by one where a client wants to know of ones as short as this. */
const PRECISE_US_MAX = 1_000;

const AT_START = {
  slowlogSlowerThanUs: 10_000,
  slowlogMaxLength: 128,
  latencyThresholdMs: 0,
} as const;

type LiveLimits = Pick<
  RespLimits,
  'maxClients' | 'maxClientsBytes' | 'idleTimeoutMs' | 'authTimeoutMs' | 'output'
>;

const NO_LIMITS: LiveLimits = {
  maxClients: 10_000,
  maxClientsBytes: 0,
  idleTimeoutMs: 0,
  authTimeoutMs: 0,
  output: { hardBytes: 0, softBytes: 0, softSeconds: 0 },
};

export class LiveSettings {
  values: LiveParameters;
  /** Commands that may be slow are timed. */
  watches = true;
  /** Commands that took less are of no interest to anybody. */
  timedFromUs: number = AT_START.slowlogSlowerThanUs;
  /** All commands are: none takes the short way. */
  precise = false;

  constructor(limits: LiveLimits = NO_LIMITS) {
    const { maxClients, maxClientsBytes, idleTimeoutMs, authTimeoutMs, output } = limits;
    this.values = {
      ...AT_START,
      maxClients,
      clientsBytes: maxClientsBytes,
      idleSeconds: idleTimeoutMs / 1000,
      authSeconds: authTimeoutMs / 1000,
      outputHardBytes: output.hardBytes,
      outputSoftBytes: output.softBytes,
      outputSoftSeconds: output.softSeconds,
    };
  }

  set(changed: Partial<LiveParameters>): void {
    this.values = { ...this.values, ...changed };
    const { slowlogSlowerThanUs, latencyThresholdMs } = this.values;
    this.watches = slowlogSlowerThanUs >= 0 || latencyThresholdMs > 0;
    const slowFrom = slowlogSlowerThanUs < 0 ? Number.POSITIVE_INFINITY : slowlogSlowerThanUs;
    const latencyFrom =
      latencyThresholdMs > 0 ? latencyThresholdMs * 1000 : Number.POSITIVE_INFINITY;
    this.timedFromUs = Math.min(slowFrom, latencyFrom);
    this.precise = slowlogSlowerThanUs >= 0 && slowlogSlowerThanUs < PRECISE_US_MAX;
  }
}
