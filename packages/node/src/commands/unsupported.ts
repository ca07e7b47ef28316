/** Commands that Redis has and Ingot has not, by the reason why.
 *  Their error begins as for any unknown command, because clients look for those words, and then
 *  says what is missing instead of quoting the arguments. */

const ONLY_STRINGS = 'Ingot holds strings only';
const FROM_THE_MAP = 'roles come from the cluster map alone';
const NOT_YET = 'this version does not have it';

/** Why, and which. */
export const UNSUPPORTED: readonly { readonly why: string; readonly names: string }[] = [
  {
    why: `${ONLY_STRINGS}, no lists`,
    names: `blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush
      lpushx lrange lrem lset ltrim rpop rpoplpush rpush rpushx sort sort_ro`,
  },
  {
    why: `${ONLY_STRINGS}, no hashes`,
    names: `hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan
      hset hsetnx hstrlen hvals`,
  },
  {
    why: `${ONLY_STRINGS}, no sets`,
    names: `sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember
      smove spop srandmember srem sscan sunion sunionstore`,
  },
  {
    why: `${ONLY_STRINGS}, no sorted sets`,
    names: `bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard
      zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex
      zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange
      zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore geoadd geodist
      geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch
      geosearchstore`,
  },
  {
    why: `${ONLY_STRINGS}, no streams`,
    names: `xack xadd xautoclaim xclaim xdel xgroup xinfo xlen xpending xrange xread xreadgroup
      xrevrange xsetid xtrim`,
  },
  {
    why: `${ONLY_STRINGS}, no HyperLogLog`,
    names: 'pfadd pfcount pfmerge pfdebug pfselftest',
  },
  {
    why: 'Ingot runs no scripts: use MULTI and EXEC',
    names: 'eval eval_ro evalsha evalsha_ro fcall fcall_ro function script',
  },
  {
    why: 'publish and subscribe are not yet supported',
    names:
      'psubscribe publish pubsub punsubscribe spublish ssubscribe subscribe sunsubscribe unsubscribe',
  },
  { why: 'users are not yet supported', names: 'acl' },
  { why: FROM_THE_MAP, names: 'failover psync replconf replicaof role slaveof sync' },
  {
    why: 'it is about the inside of Redis (INFO, MEMORY STATS and SLOWLOG tell about this node)',
    names: 'debug',
  },
  { why: 'there is one database', names: 'move swapdb' },
  {
    why: NOT_YET,
    names: 'bgrewriteaof digest migrate module monitor waitaof',
  },
];

const reasonByName: ReadonlyMap<string, string> = new Map(
  UNSUPPORTED.flatMap(({ why, names }) => names.split(/\s+/).map((name) => [name, why] as const)),
);

/** Why Ingot has no command of this name (any case), or null where Redis has none either. */
export function whyUnsupported(name: string): string | null {
  return reasonByName.get(name.toLowerCase()) ?? null;
}
