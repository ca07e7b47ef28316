/** Made by npm run generate:arguments: what COMMAND DOCS of Redis 7.0 says of the arguments of commands, a
 *  command and its arguments in the notation of argument-notation.ts; a line that is indented goes on. */

export const ARGUMENT_DATA = `
append key<key>#0 value
auth username@6.0.0? password
bgsave schedule<pure-token>=SCHEDULE@3.2.2?
bitcount key<key>#0 index<block>?(start<integer> end<integer>
  index_unit<oneof>@7.0.0?(byte<pure-token>=BYTE bit<pure-token>=BIT))
bitfield key<key>#0 operation<oneof>?*(encoding_offset<block>=GET(encoding offset<integer>)
  write<block>(wrap_sat_fail<oneof>=OVERFLOW?(wrap<pure-token>=WRAP sat<pure-token>=SAT
  fail<pure-token>=FAIL) write_operation<oneof>(encoding_offset_value<block>=SET(encoding
  offset<integer> value<integer>) encoding_offset_increment<block>=INCRBY(encoding offset<integer>
  increment<integer>))))
bitfield_ro key<key>#0 encoding_offset<block>=GET?*+(encoding offset<integer>)
bitop operation destkey<key>#0 key<key>#1*
bitpos key<key>#0 bit<integer> index<block>?(start<integer> end_index<block>?(end<integer>
  index_unit<oneof>@7.0.0?(byte<pure-token>=BYTE bit<pure-token>=BIT)))
client|kill filter<oneof>(ip:port!2.8.12 new-format<oneof>*(client-id<integer>=ID@2.8.12?
  normal_master_slave_pubsub<oneof>=TYPE@2.8.12?(normal<pure-token>=NORMAL
  master<pure-token>=MASTER@3.2.0 slave<pure-token>=SLAVE replica<pure-token>=REPLICA@5.0.0
  pubsub<pure-token>=PUBSUB) username=USER? ip:port=ADDR? ip:port=LADDR@6.2.0? yes/no=SKIPME?))
client|list normal_master_replica_pubsub<oneof>=TYPE@5.0.0?(normal<pure-token>=NORMAL
  master<pure-token>=MASTER replica<pure-token>=REPLICA pubsub<pure-token>=PUBSUB)
  id<block>=ID@6.2.0?(client-id<integer>*)
client|no-evict enabled<oneof>(on<pure-token>=ON off<pure-token>=OFF)
client|pause timeout<integer> mode<oneof>@6.2.0?(write<pure-token>=WRITE all<pure-token>=ALL)
client|reply on_off_skip<oneof>(on<pure-token>=ON off<pure-token>=OFF skip<pure-token>=SKIP)
client|setname connection-name
client|unblock client-id<integer> timeout_error<oneof>?(timeout<pure-token>=TIMEOUT
  error<pure-token>=ERROR)
cluster|countkeysinslot slot<integer>
cluster|getkeysinslot slot<integer> count<integer>
cluster|keyslot key
command|docs command-name?*
command|info command-name?*
command|list filterby<oneof>=FILTERBY?(module-name=MODULE category=ACLCAT pattern<pattern>=PATTERN)
config|get parameter<block>*(parameter)
config|set parameter_value<block>*(parameter value)
copy source<key>#0 destination<key>#1 destination-db<integer>=DB? replace<pure-token>=REPLACE?
decr key<key>#0
decrby key<key>#0 decrement<integer>
del key<key>#0*
dump key<key>#0
echo message
exists key<key>#0*
expire key<key>#0 seconds<integer> condition<oneof>@7.0.0?(nx<pure-token>=NX xx<pure-token>=XX
  gt<pure-token>=GT lt<pure-token>=LT)
expireat key<key>#0 unix-time-seconds<unix-time> condition<oneof>@7.0.0?(nx<pure-token>=NX
  xx<pure-token>=XX gt<pure-token>=GT lt<pure-token>=LT)
expiretime key<key>#0
flushall async<oneof>?(async<pure-token>=ASYNC@4.0.0 sync<pure-token>=SYNC@6.2.0)
flushdb async<oneof>?(async<pure-token>=ASYNC@4.0.0 sync<pure-token>=SYNC@6.2.0)
get key<key>#0
getbit key<key>#0 offset<integer>
getdel key<key>#0
getex key<key>#0 expiration<oneof>?(seconds<integer>=EX milliseconds<integer>=PX
  unix-time-seconds<unix-time>=EXAT unix-time-milliseconds<unix-time>=PXAT
  persist<pure-token>=PERSIST)
getrange key<key>#0 start<integer> end<integer>
getset key<key>#0 value
hello arguments<block>?(protover<integer> username_password<block>=AUTH?(username password)
  clientname=SETNAME?)
incr key<key>#0
incrby key<key>#0 increment<integer>
incrbyfloat key<key>#0 increment<double>
info section?*
keys pattern<pattern>
latency|graph event
latency|histogram command?*
latency|history event
latency|reset event?*
lcs key1<key>#0 key2<key>#0 len<pure-token>=LEN? idx<pure-token>=IDX? len<integer>=MINMATCHLEN?
  withmatchlen<pure-token>=WITHMATCHLEN?
lolwut version<integer>=VERSION?
memory|usage key<key>#0 count<integer>=SAMPLES?
mget key<key>#0*
mset key_value<block>*(key<key>#0 value)
msetnx key_value<block>*(key<key>#0 value)
object|encoding key<key>#0
object|freq key<key>#0
object|idletime key<key>#0
object|refcount key<key>#0
persist key<key>#0
pexpire key<key>#0 milliseconds<integer> condition<oneof>@7.0.0?(nx<pure-token>=NX xx<pure-token>=XX
  gt<pure-token>=GT lt<pure-token>=LT)
pexpireat key<key>#0 unix-time-milliseconds<unix-time> condition<oneof>@7.0.0?(nx<pure-token>=NX
  xx<pure-token>=XX gt<pure-token>=GT lt<pure-token>=LT)
pexpiretime key<key>#0
ping message?
psetex key<key>#0 milliseconds<integer> value
pttl key<key>#0
rename key<key>#0 newkey<key>#1
renamenx key<key>#0 newkey<key>#1
restore key<key>#0 ttl<integer> serialized-value replace<pure-token>=REPLACE@3.0.0?
  absttl<pure-token>=ABSTTL@5.0.0? seconds<integer>=IDLETIME@5.0.0? frequency<integer>=FREQ@5.0.0?
scan cursor<integer> pattern<pattern>=MATCH? count<integer>=COUNT? type=TYPE@6.0.0?
select index<integer>
set key<key>#0 value condition<oneof>@2.6.12?(nx<pure-token>=NX xx<pure-token>=XX)
  get<pure-token>=GET@6.2.0? expiration<oneof>?(seconds<integer>=EX@2.6.12
  milliseconds<integer>=PX@2.6.12 unix-time-seconds<unix-time>=EXAT@6.2.0
  unix-time-milliseconds<unix-time>=PXAT@6.2.0 keepttl<pure-token>=KEEPTTL@6.0.0)
setbit key<key>#0 offset<integer> value<integer>
setex key<key>#0 seconds<integer> value
setnx key<key>#0 value
setrange key<key>#0 offset<integer> value
shutdown nosave_save<oneof>?(nosave<pure-token>=NOSAVE save<pure-token>=SAVE)
  now<pure-token>=NOW@7.0.0? force<pure-token>=FORCE@7.0.0? abort<pure-token>=ABORT@7.0.0?
slowlog|get count<integer>?
strlen key<key>#0
substr key<key>#0 start<integer> end<integer>
touch key<key>#0*
ttl key<key>#0
type key<key>#0
unlink key<key>#0*
wait numreplicas<integer> timeout<integer>
watch key<key>#0*
`;
