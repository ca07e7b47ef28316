/** What a worker knows of who is at the other end of a connection: a client, or another node's link for its clients.
 *
 *  Set by commands, read by what executes them. `plain` sums up what the fast paths must know.
 *  Owner: the connection, which is one with it. */

import type { Protocol } from '../resp/reply-writer.ts';
import type { ClusterMap } from '../shared/map.ts';
import { type Acks, awaitsOf, type Settings } from '../shared/settings.ts';
import type { ClientAuth } from './client-auth.ts';
import { type ListenerKind, ReplyMode } from './session.ts';
import type { Transaction, Watches } from './transaction-state.ts';

/** What CLIENT UNBLOCK ends. */
export interface Blocked {
  unblock(withError: boolean): void;
}

/** What clients are without having said anything. */
export interface ClientDefaults {
  readonly settings: Settings;
  readonly map: ClusterMap;
  readonly auth: ClientAuth;
}

export abstract class ClientState {
  readonly id: number;
  readonly listener: ListenerKind;
  readonly connectedAtMs: number;
  lastActiveAtMs: number;
  lastCommand = 'NULL';
  protocol: Protocol = 2;
  name = '';
  libName = '';
  libVersion = '';
  readOnly = false;
  asking = false;
  noEvict = false;
  /** What a link was asked to prove; see internal-commands.ts. */
  nonce: string | null = null;
  /** A WAIT that has not been answered. */
  blockedOn: Blocked | null = null;

  /** The client's next bytes are of no interest: the connection ends after its replies. */
  closing = false;
  /** Nothing special is going on: plain commands may take the fast paths. */
  plain = true;
  watches: Watches | null = null;
  /** What replies wait for, as bits: see ACKS. Set through `acks`. */
  awaits: number;
  /** Per partition: 1 where this connection has written, here or elsewhere; for WAIT. */
  readonly written: Uint8Array;
  /** A link of many clients: nobody waits on it for a long reply. */
  refusesLong = false;

  private openTransaction: Transaction | null = null;
  private isAuthenticated: boolean;
  private replyModeNow: ReplyMode = ReplyMode.on;
  private noTouchNow = false;
  /** Another node's link: partitions it was refused and has not resumed; null for clients. */
  private refusals: Set<number> | null = null;
  private readonly defaults: ClientDefaults;

  constructor(defaults: ClientDefaults, id: number, listener: ListenerKind, nowMs: number) {
    this.defaults = defaults;
    this.id = id;
    this.listener = listener;
    this.connectedAtMs = nowMs;
    this.lastActiveAtMs = nowMs;
    this.awaits = awaitsOf(defaults.settings.acks);
    this.isAuthenticated = !defaults.auth.required;
    this.plain = this.isAuthenticated;
    this.written = new Uint8Array(defaults.map.partitions);
  }

  abstract get acks(): Acks;
  abstract set acks(acks: Acks);

  /** It may do more from now on, or no more. */
  protected abstract authenticationChanged(): void;

  /** Not null between MULTI and EXEC. */
  get transaction(): Transaction | null {
    return this.openTransaction;
  }

  set transaction(transaction: Transaction | null) {
    this.openTransaction = transaction;
    this.updatePlain();
  }

  get authenticated(): boolean {
    return this.isAuthenticated;
  }

  set authenticated(authenticated: boolean) {
    this.isAuthenticated = authenticated;
    this.updatePlain();
    this.authenticationChanged();
  }

  get replyMode(): ReplyMode {
    return this.replyModeNow;
  }

  set replyMode(mode: ReplyMode) {
    this.replyModeNow = mode;
    this.updatePlain();
  }

  get noTouch(): boolean {
    return this.noTouchNow;
  }

  set noTouch(on: boolean) {
    this.noTouchNow = on;
    this.updatePlain();
  }

  /** As CLIENT LIST and CLIENT KILL name it: links serve other nodes' clients. */
  get type(): string {
    return this.isLink ? 'master' : 'normal';
  }

  get flags(): string {
    const flags =
      (this.isLink ? 'M' : '') +
      (this.openTransaction === null ? '' : 'x') +
      (this.blockedOn === null ? '' : 'b') +
      (this.closing ? 'c' : '') +
      (this.readOnly ? 'r' : '') +
      (this.noEvict ? 'e' : '') +
      (this.noTouchNow ? 'T' : '');
    return flags === '' ? 'N' : flags;
  }

  /** RESET: as a new connection is. */
  reset(): void {
    this.transaction = null;
    this.watches = null;
    this.readOnly = false;
    this.asking = false;
    this.name = '';
    this.protocol = 2;
    this.acks = this.defaults.settings.acks;
    this.replyMode = ReplyMode.on;
    this.noTouch = false;
    this.noEvict = false;
    this.authenticated = !this.defaults.auth.required;
  }

  get queuedCount(): number {
    return this.openTransaction?.queued.length ?? -1;
  }

  get watchedCount(): number {
    return this.watches?.keys.length ?? 0;
  }

  /** Another node forwards its clients' commands through this connection. */
  get isLink(): boolean {
    return this.refusals !== null;
  }

  /** What its clients want is told by the link itself, whatever --acks says here. */
  becomeLink(): void {
    this.refusesLong = true;
    this.awaits = 0;
    this.refusals ??= new Set();
  }

  /** A link's command was refused: so is all that follows for the partition, until `resume`. */
  refuse(partitionId: number): void {
    this.refusals?.add(partitionId);
    this.updatePlain();
  }

  resume(partitionId: number): void {
    this.refusals?.delete(partitionId);
    this.updatePlain();
  }

  refuses(partitionId: number): boolean {
    return this.refusals?.has(partitionId) === true;
  }

  private updatePlain(): void {
    const refusing = this.refusals !== null && this.refusals.size > 0;
    const quiet = this.replyModeNow !== ReplyMode.on || this.noTouchNow;
    this.plain = this.openTransaction === null && !refusing && !quiet && this.isAuthenticated;
  }
}
