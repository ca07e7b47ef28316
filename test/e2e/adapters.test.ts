/** What people put on top of a client library, and Redis' own tools, each at its real job, against three real
 *  nodes that want a password. */
import { afterAll, beforeAll } from 'vitest';
import { LocalCluster } from '../support/local-cluster.ts';
import { cacheManagerCases } from './cache-manager-cases.ts';
import { keyvCases } from './keyv-cases.ts';
import { rateLimiterCases } from './rate-limiter-cases.ts';
import { redisBenchmarkCases } from './redis-benchmark-cases.ts';
import { redisCliCases } from './redis-cli-cases.ts';
import { sessionCases } from './session-cases.ts';

const PASSWORD = 'sesame';

let cluster: LocalCluster;

beforeAll(async () => {
  cluster = await LocalCluster.start({
    ...{ nodes: 3, capacity: '256mb', partitions: 16 },
    env: { INGOT_PASSWORD: PASSWORD },
  });
});
afterAll(() => cluster.stop());

keyvCases(() => cluster, PASSWORD);
cacheManagerCases(() => cluster, PASSWORD);
sessionCases(() => cluster, PASSWORD);
rateLimiterCases(() => cluster, PASSWORD);
redisCliCases(() => cluster, PASSWORD);
redisBenchmarkCases(() => cluster, PASSWORD);
