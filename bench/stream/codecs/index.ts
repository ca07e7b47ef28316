/** The rows of the serialization table, in the order in which they are shown. */
import { capnp, capnpByOffset } from './capnp.ts';
import type { Codec } from './codec.ts';
import { json } from './json.ts';
import { msgpack } from './msgpack.ts';
import { raw } from './raw.ts';
import { v8Columns, v8Objects } from './v8.ts';

export const CODECS = {
  json,
  msgpack,
  v8: v8Objects,
  'v8-columns': v8Columns,
  capnp,
  'capnp-by-offset': capnpByOffset,
  raw,
} as const satisfies Record<string, Codec>;

export type CodecId = keyof typeof CODECS;
