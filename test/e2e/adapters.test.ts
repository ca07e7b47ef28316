/** What people put on top of a client library, and Redis' own tools, each at its real job, against three real
 *  nodes. */
import { afterAll, beforeAll } from 'vitest';
import { LocalCluster } from '../support/local-cluster.ts';
import { cacheManagerCases } from './cache-manager-cases.ts';
import { keyvCases } from './keyv-cases.ts';
import { rateLimiterCases } from './rate-limiter-cases.ts';
import { redisBenchmarkCases } from './redis-benchmark-cases.ts';
import { redisCliCases } from './redis-cli-cases.ts';
import { sessionCases } from './session-cases.ts';
import { snippetCases } from './snippet-cases.ts';

let cluster: LocalCluster;

beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, capacity: '256mb', partitions: 16 });
});
afterAll(() => cluster.stop());

keyvCases(() => cluster);
cacheManagerCases(() => cluster);
sessionCases(() => cluster);
rateLimiterCases(() => cluster);
redisCliCases(() => cluster);
redisBenchmarkCases(() => cluster);
snippetCases(() => cluster);
