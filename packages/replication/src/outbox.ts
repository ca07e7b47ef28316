/** What one step of a sender asks for, collected by its parts.
 *
 *  Owner: one sender. Knows whether the kernel still has something to accept: until `written` nothing more is handed
 *  over. Frames carry the position of the redo that went out last. */
import type { ReplicationEvent, ReplicationEventName } from './events.ts';
import { type FrameHeader, payloadChecksum, REDO } from './frame.ts';
import type { RedoStream } from './redo-stream.ts';
import type { RedoBlock } from './ring-reader.ts';
import type { SenderAction, SenderOptions } from './sender-steps.ts';

export const NO_PAYLOAD: Buffer = Buffer.alloc(0);

export class Outbox {
  readonly #options: SenderOptions;
  readonly #redo: RedoStream;
  #actions: SenderAction[] = [];
  #wantsAgain = false;
  nowMs = 0;
  /** Something was handed over and the kernel has not accepted all of it. */
  writing = false;

  constructor(options: SenderOptions, redo: RedoStream) {
    this.#options = options;
    this.#redo = redo;
  }

  begin(nowMs: number): void {
    this.#actions = [];
    this.#wantsAgain = false;
    this.nowMs = nowMs;
  }

  end(): SenderAction[] {
    if (this.#wantsAgain) this.#actions.push({ kind: 'again' });
    return this.#actions;
  }

  push(...actions: readonly SenderAction[]): void {
    this.#actions.push(...actions);
  }

  /** The machine wants to be stepped a little later. */
  again(): void {
    this.#wantsAgain = true;
  }

  send(type: number, payload: Buffer, seq: number = this.#redo.seq): void {
    this.#sendSummed(type, payload, payload.length === 0 ? 0 : payloadChecksum(payload), seq);
  }

  /** The records that the redo stream took last. */
  sendRedo({ records, crc32, lastSeq }: RedoBlock): void {
    this.#sendSummed(REDO, records, crc32, lastSeq);
  }

  #sendSummed(type: number, payload: Buffer, payloadCrc32: number, seq: number): void {
    const { generation } = this.#redo;
    this.sendHeader(type, payload, { flags: 0, seq, generation, chunk: 0, payloadCrc32 });
  }

  sendHeader(
    type: number,
    payload: Buffer,
    fields: Pick<FrameHeader, 'flags' | 'seq' | 'generation' | 'chunk' | 'payloadCrc32'>,
  ): void {
    // Written out: spreading costs more than all else here, and this is done for every few writes.
    const header = {
      type,
      flags: fields.flags,
      payloadBytes: payload.length,
      epoch: this.#options.epoch,
      seq: fields.seq,
      generation: fields.generation,
      chunk: fields.chunk,
      clockMs: this.nowMs,
      payloadCrc32: fields.payloadCrc32,
    };
    this.#actions.push({ kind: 'send', header, payload });
    this.writing = true;
  }

  log(
    level: ReplicationEvent['level'],
    event: ReplicationEventName,
    fields: Record<string, string | number>,
  ): void {
    const { partition, hello } = this.#options;
    const place = { partition: partition.id, node: hello.nodeId };
    // Rounds come every few seconds, for every partition: the follower tells of them as one.
    const shown = hello.snapshot && level === 'info' ? 'debug' : level;
    this.#actions.push({ kind: 'log', event: { level: shown, event, ...place, ...fields } });
  }
}
