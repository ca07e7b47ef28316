/** @ingot/store: a hash map in shared memory for every worker thread of a process. */
export { type Budget, IMAGE_LINES, SCRATCH_LINES, sumOfBudgets } from './budget.ts';
export {
  type ApplyOutcome,
  type CheckOutcome,
  type CopyPoint,
  LANDED_SINCE_BASE,
  type Offer,
} from './copy.ts';
export { Counter, NOT_AN_INTEGER, WOULD_OVERFLOW } from './counter.ts';
export { invariant, InvariantError, StoreError, type StoreErrorCode } from './errors.ts';
export { TORN_READS_MAX } from './gate.ts';
export {
  capacityBounds,
  type Geometry,
  type GeometryRequest,
  planGeometry,
  withCapacity,
} from './geometry.ts';
export { HASH_SLOTS, hashKey, partitionOfSlot, placeKey, slotOfKey } from './hash.ts';
export type { HistoryEntry } from './history.ts';
export {
  INT64_MAX,
  INT64_MIN,
  INT64_TEXT_BYTES_MAX,
  type Int64,
  negateInt64,
  readInt64,
  readInteger,
  readSafeInteger,
} from './int64.ts';
export {
  CHUNK_BYTES,
  FORMAT_VERSION,
  HISTORY_MAX,
  KEY_BYTES_MAX,
  type LayoutRow,
  RECORD_HEADER_BYTES,
  REDO_CHECK,
  REDO_HEADER_BYTES,
  REDO_MUTATION,
  REDO_RECORD_BYTES_MAX,
  REDO_REPAIR,
  REDO_TXN_END,
} from './layout.ts';
export {
  createPartition,
  type EvictionPolicy,
  partitionBytes,
  type PartitionHandle,
} from './memory.ts';
export { type MutationStep, ROLE_FOLLOWER, ROLE_NONE, ROLE_PRIMARY } from './mutation.ts';
export { PartitionMap, type ScanPage, type SetOptions, type SetResult } from './partition-map.ts';
export { attachPartition, Partition } from './partition.ts';
export { newStableView, type PartitionStats, type StableView } from './partition-state.ts';
export { Prefetch } from './prefetch.ts';
export { RING_BUSY, RING_EMPTY, RING_LAPPED, RING_NOT_HELD } from './ring.ts';
export { type Pin, type PinStats } from './pins.ts';
export { classOfRecord, SLOT_BYTES } from './size-classes.ts';
export { BUSY, type LargeWrite, VOID } from './large-write.ts';
export { APPEND, CHANGED, MORE, READY, type ValueEdit } from './value-edit.ts';
export {
  COPY_ABSENT,
  COPY_CHANGED,
  COPY_MORE,
  COPY_WHOLE,
  type ValueCopy,
} from './value-copy.ts';
export { Values } from './values.ts';
export { NEEDS_PASSAGES, OUT_OF_MEMORY, SET_OK, TOO_LARGE } from './writer.ts';
export { type Bytes, type Clock, type SetOptions as MapSetOptions } from './map-options.ts';
export {
  attachMap,
  createMap,
  type MapHandle,
  type MapOptions,
  type MapPage,
  type MapStats,
  SharedMap,
} from './shared-map.ts';
export {
  bytes,
  f32,
  f64,
  type FieldKind,
  type FieldName,
  type FieldType,
  i16,
  i32,
  i64,
  i8,
  json,
  type NumberName,
  type ReadOf,
  type Struct,
  struct,
  type StructField,
  type StructInput,
  type StructLayout,
  type StructShape,
  type StructValue,
  tail,
  type TailName,
  type TailType,
  u16,
  u32,
  u64,
  u8,
  type WriteOf,
} from './struct.ts';
export { type Head, type TypedMap } from './typed-map.ts';
export type { TypedRecord } from './typed-record.ts';
