@0xd3a1f2b4c5968778;
# The record of the serialization table, in the order that Cap'n Proto packs without a hole.

struct Quote {
  bid @0 :Float64;
  ask @1 :Float64;
  last @2 :Float64;
  seq @3 :UInt64;
  symbol @4 :UInt64;
  bidSize @5 :UInt32;
  askSize @6 :UInt32;
  lastSize @7 :UInt32;
  timeMs @8 :UInt32;
  venue @9 :UInt32;
  flags @10 :UInt32;
}

struct Batch {
  quotes @0 :List(Quote);
}
