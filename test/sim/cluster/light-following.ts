/** One copy that a simulated process follows: its connection to the primary, opened again whenever it ends. */
import { Broken } from '../trace.ts';
import type { SimProcess } from './host.ts';
import type { Entry, LightCopy } from './light-copy.ts';
import { type LightFollower, LightSession, type LightLeading } from './light-leading.ts';
import { LightLink, type LinkEnd } from './light-link.ts';

const retryMsMax = 400;
const helloMs = 500;

/** Whom it follows, and as which life. */
export interface LightSource {
  readonly primary: string;
  readonly epoch: number;
  readonly incarnation: number;
}

export class LightFollowing implements LightFollower {
  readonly process: SimProcess;
  readonly source: LightSource;
  readonly #copy: LightCopy;
  readonly #leadingAt: (process: SimProcess) => LightLeading | null;
  #session: LightSession | null = null;
  #end: LinkEnd | null = null;
  #stopped = false;
  #attempts = 0;

  constructor(
    process: SimProcess,
    copy: LightCopy,
    source: LightSource,
    leadingAt: (process: SimProcess) => LightLeading | null,
  ) {
    this.process = process;
    this.source = source;
    this.#copy = copy;
    this.#leadingAt = leadingAt;
    this.#connect();
  }

  isFrom({ primary, epoch, incarnation }: LightSource): boolean {
    const { source } = this;
    return (
      source.primary === primary && source.epoch === epoch && source.incarnation === incarnation
    );
  }

  /** Nothing of what it sends arrives any more. */
  stop(): void {
    this.#stopped = true;
    if (this.#end !== null) this.#session?.link.close(this.#end);
    this.#session = null;
  }

  #connect(): void {
    const { world } = this.process.host;
    const { primary, epoch, incarnation } = this.source;
    const copy = this.#copy;
    // An earlier attempt whose answer was lost is none of ours any more.
    const attempt = ++this.#attempts;
    const end = { process: this.process, closed: () => this.#closed(attempt) };
    const hello = {
      node: this.process.host.id,
      ...{ incarnation, partition: copy.partition, epoch, checked: copy.checked },
      ...{ consistent: copy.consistent, seq: copy.seq, history: [...copy.history] },
    };
    const offer = async (target: SimProcess): Promise<LightSession | null> => {
      const leading = this.#leadingAt(target);
      if (leading === null || this.#stopped || !leading.welcomes(hello)) return null;
      const link = new LightLink(world);
      const session = new LightSession(leading, hello, this, link);
      link.join(session, end);
      link.send(session, () => this.#welcome(session, end, attempt));
      leading.begin(session);
      return session;
    };
    world.network.call(this.process, primary, offer, { timeoutMs: helloMs }).then(
      (session) => {
        if (session === null) this.#retry();
      },
      () => this.#retry(),
    );
  }

  #welcome(session: LightSession, end: LinkEnd, attempt: number): void {
    if (this.#stopped || attempt !== this.#attempts) return session.link.close(end);
    this.#session = session;
    this.#end = end;
    if (this.#copy.consistent) this.#acknowledge();
  }

  #retry(): void {
    const { random } = this.process.host.world;
    this.process.later(20 + random.next() * retryMsMax, () => {
      if (!this.#stopped && this.#session === null) this.#connect();
    });
  }

  #closed(attempt: number): void {
    if (this.#stopped || attempt !== this.#attempts) return;
    this.#session = null;
    this.#retry();
  }

  // ------------------------------------------------------------ what the primary sends

  begin(commonSeq: number): void {
    if (this.#stopped) return;
    this.#copy.cutBack(commonSeq);
    this.#copy.consistent = false;
    this.#copy.checked = false;
  }

  entries(epoch: number, fromSeq: number, entries: readonly Entry[]): void {
    if (this.#stopped || epoch !== this.source.epoch) return;
    if (this.#copy.seq !== fromSeq) {
      throw new Broken('invariant', `redo from ${fromSeq} on for a copy at ${this.#copy.seq}`);
    }
    for (const entry of entries) this.#copy.append(entry);
    if (this.#copy.consistent) this.#acknowledge();
  }

  end(seq: number): void {
    if (this.#stopped) return;
    this.#copy.consistent = this.#copy.seq >= seq;
    this.#acknowledge();
  }

  checked(): void {
    if (this.#stopped) return;
    this.#copy.checked = this.#copy.consistent;
    this.#acknowledge();
  }

  #acknowledge(): void {
    const session = this.#session;
    const { seq } = this.#copy;
    if (this.#end !== null) session?.link.send(this.#end, () => session.acknowledged(seq));
  }
}
