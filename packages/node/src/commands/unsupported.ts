/** Commands that Redis has and Ingot has not, by the reason why: *not yet*, because a later version
 *  brings them, or *never*, because of what Ingot is. Together with the command table that is every
 *  command and subcommand of Redis 7.0, which a test holds; newer ones stand here as they come up.
 *  Their error begins as for any unknown command, because clients look for those words, and then
 *  says what is missing instead of quoting the arguments. */

const ONLY_STRINGS = 'Ingot holds strings only';

export interface Unsupported {
  readonly standing: 'not yet' | 'never';
  readonly why: string;
  /** Subcommands as `client|tracking`. */
  readonly names: string;
}

export const UNSUPPORTED: readonly Unsupported[] = [
  {
    standing: 'not yet',
    why: 'publish and subscribe are not yet supported',
    names:
      'psubscribe publish pubsub punsubscribe spublish ssubscribe subscribe sunsubscribe unsubscribe',
  },
  {
    standing: 'not yet',
    why: 'users are not yet supported, there is one password (--password-file)',
    names: 'acl',
  },
  {
    standing: 'not yet',
    why: 'caches of clients are not yet told of changes',
    names: 'client|caching client|tracking client|trackinginfo',
  },
  {
    standing: 'not yet',
    why: 'CLIENT ACKS log waits for the disk, WAIT and CLIENT ACKS isr for other nodes',
    names: 'waitaof',
  },
  {
    standing: 'not yet',
    why: 'this version does not have it: MSET and EXPIRE in MULTI do the same',
    names: 'msetex',
  },
  {
    standing: 'never',
    why: `${ONLY_STRINGS}, no lists`,
    names: `blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush
      lpushx lrange lrem lset ltrim rpop rpoplpush rpush rpushx sort sort_ro`,
  },
  {
    standing: 'never',
    why: `${ONLY_STRINGS}, no hashes`,
    names: `hdel hexists hexpire hexpireat hexpiretime hget hgetall hgetdel hgetex hincrby
      hincrbyfloat hkeys hlen hmget hmset hpersist hpexpire hpexpireat hpexpiretime hpttl hrandfield
      hscan hset hsetex hsetnx hstrlen httl hvals`,
  },
  {
    standing: 'never',
    why: `${ONLY_STRINGS}, no sets`,
    names: `sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember
      smove spop srandmember srem sscan sunion sunionstore`,
  },
  {
    standing: 'never',
    why: `${ONLY_STRINGS}, no sorted sets`,
    names: `bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard
      zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex
      zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange
      zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore geoadd geodist
      geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch
      geosearchstore`,
  },
  {
    standing: 'never',
    why: `${ONLY_STRINGS}, no streams`,
    names: `xack xackdel xadd xautoclaim xclaim xdel xdelex xgroup xinfo xlen xpending xrange xread
      xreadgroup xrevrange xsetid xtrim`,
  },
  {
    standing: 'never',
    why: `${ONLY_STRINGS}, no HyperLogLog`,
    names: 'pfadd pfcount pfmerge pfdebug pfselftest',
  },
  {
    standing: 'never',
    why: `${ONLY_STRINGS}, no vector sets`,
    names: 'vadd vcard vdim vemb vgetattr vinfo vismember vlinks vrandmember vrem vsetattr vsim',
  },
  {
    standing: 'never',
    why: 'Ingot runs no scripts: use MULTI and EXEC, or SET IFEQ and DELEX',
    names: 'eval eval_ro evalsha evalsha_ro fcall fcall_ro function script',
  },
  {
    standing: 'never',
    why: 'roles come from the cluster map alone',
    names: 'failover psync replconf replicaof role slaveof sync',
  },
  {
    standing: 'never',
    why: 'slots and nodes come from the cluster map alone (ingot status, leave, promote)',
    names: `cluster|addslots cluster|addslotsrange cluster|bumpepoch cluster|delslots
      cluster|delslotsrange cluster|failover cluster|flushslots cluster|forget cluster|meet
      cluster|replicate cluster|reset cluster|saveconfig cluster|set-config-epoch cluster|setslot`,
  },
  {
    standing: 'never',
    why: 'each partition has followers of its own: CLUSTER SHARDS names them',
    names: 'cluster|replicas cluster|slaves',
  },
  {
    standing: 'never',
    why: 'nodes judge each other by leases: CLUSTER INFO and ingot status tell about them',
    names: 'cluster|count-failure-reports cluster|links',
  },
  {
    standing: 'never',
    why: 'no slot is ever half moved: RESTORE is what there is',
    names: 'restore-asking',
  },
  {
    standing: 'never',
    why: 'it is about the inside of Redis (INFO, MEMORY STATS and SLOWLOG tell about this node)',
    names: 'debug',
  },
  {
    standing: 'never',
    why: 'it would show what one node runs, not what clients ask for (SLOWLOG, LATENCY, /metrics)',
    names: 'monitor',
  },
  { standing: 'never', why: 'there is one database', names: 'move swapdb' },
  { standing: 'never', why: 'there is no append-only file', names: 'bgrewriteaof' },
  { standing: 'never', why: 'DUMP and RESTORE carry values elsewhere', names: 'migrate' },
  { standing: 'never', why: 'Ingot has no modules', names: 'module' },
];

/** What modules of Redis name their commands. */
const OF_A_MODULE = /^(bf|cf|cms|ft|json|tdigest|topk|ts)\./;

const reasonByName = reasonsOf(UNSUPPORTED);

/** Why Ingot has no command or subcommand of this name (any case), or null where Redis has none
 *  either. */
export function whyUnsupported(name: string): string | null {
  const lower = name.toLowerCase();
  if (OF_A_MODULE.test(lower)) return 'Ingot has no modules';
  return reasonByName.get(lower) ?? null;
}

/** Parameters of CONFIG SET that a later version brings. */
export const UNSUPPORTED_PARAMETERS: readonly Unsupported[] = [
  {
    standing: 'not yet',
    why: 'TLS for clients is not yet supported',
    names: `tls-auth-clients tls-ca-cert-dir tls-ca-cert-file tls-cert-file tls-ciphers
      tls-ciphersuites tls-client-cert-file tls-client-key-file tls-client-key-file-pass tls-cluster
      tls-dh-params-file tls-key-file tls-key-file-pass tls-port tls-prefer-server-ciphers
      tls-protocols tls-replication tls-session-cache-size tls-session-cache-timeout
      tls-session-caching`,
  },
  {
    standing: 'not yet',
    why: 'users are not yet supported',
    names: 'acl-pubsub-default aclfile acllog-max-len',
  },
  {
    standing: 'not yet',
    why: 'caches of clients are not yet told of changes',
    names: 'tracking-table-max-keys',
  },
];

const reasonByParameter = reasonsOf(UNSUPPORTED_PARAMETERS);

/** Why a parameter of Redis (any case) cannot be set yet, or null. */
export function whyNotConfigured(name: string): string | null {
  return reasonByParameter.get(name.toLowerCase()) ?? null;
}

function reasonsOf(rows: readonly Unsupported[]): ReadonlyMap<string, string> {
  return new Map(
    rows.flatMap(({ why, names }) => names.split(/\s+/).map((name) => [name, why] as const)),
  );
}
