import * as $ from "capnp-es";
export declare const _capnpFileId = 15249736671476221816n;
export declare class Quote extends $.Struct {
  static readonly _capnp: {
    displayName: string;
    id: string;
    size: $.ObjectSize;
  };
  get bid(): number;
  set bid(value: number);
  get ask(): number;
  set ask(value: number);
  get last(): number;
  set last(value: number);
  get seq(): bigint;
  set seq(value: bigint);
  get symbol(): bigint;
  set symbol(value: bigint);
  get bidSize(): number;
  set bidSize(value: number);
  get askSize(): number;
  set askSize(value: number);
  get lastSize(): number;
  set lastSize(value: number);
  get timeMs(): number;
  set timeMs(value: number);
  get venue(): number;
  set venue(value: number);
  get flags(): number;
  set flags(value: number);
  toString(): string;
}
export declare class Batch extends $.Struct {
  static readonly _capnp: {
    displayName: string;
    id: string;
    size: $.ObjectSize;
  };
  static _Quotes: $.ListCtor<Quote>;
  _adoptQuotes(value: $.Orphan<$.List<Quote>>): void;
  _disownQuotes(): $.Orphan<$.List<Quote>>;
  get quotes(): $.List<Quote>;
  _hasQuotes(): boolean;
  _initQuotes(length: number): $.List<Quote>;
  set quotes(value: $.List<Quote>);
  toString(): string;
}
