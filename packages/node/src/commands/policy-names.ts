/** What Redis calls that which a full partition does. SIEVE has no name there: the nearest is
 *  allkeys-lru, and clients ask for no more than whether keys may go, and which. */

import type { EvictionPolicy } from '../shared/settings.ts';

export const POLICY_NAMES: Readonly<Record<EvictionPolicy, string>> = {
  sieve: 'allkeys-lru',
  'volatile-ttl': 'volatile-ttl',
  noeviction: 'noeviction',
};
