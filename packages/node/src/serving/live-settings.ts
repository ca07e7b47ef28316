/** What CONFIG SET changes while a node serves; each data worker has its own copy, changed by the same
 *  order. The values at start are Redis'. */

import type { LiveParameters } from '../shared/worker-questions.ts';

/** Commands are timed one by one where a client wants to know of ones as short as this. */
const PRECISE_US_MAX = 1_000;

const AT_START: LiveParameters = {
  maxClients: 10_000,
  idleSeconds: 0,
  slowlogSlowerThanUs: 10_000,
  slowlogMaxLength: 128,
  latencyThresholdMs: 0,
};

export class LiveSettings {
  values: LiveParameters = AT_START;
  /** Commands that may be slow are timed. */
  watches = true;
  /** Commands that took less are of no interest to anybody. */
  timedFromUs: number = AT_START.slowlogSlowerThanUs;
  /** All commands are: none takes the short way. */
  precise = false;

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
