/** The followers of the partitions led here: their sessions, and what the node asks about them.
 *
 *  Owner: the hub. One session per (partition, follower); a newer connection replaces an older one, because its end
 *  may not have been noticed yet. At most `bulksMax` bulks at once. */
import { invariant, type Partition, ROLE_FOLLOWER, ROLE_PRIMARY } from '@ingot/store';
import { AckWaiters } from './ack-waiters.ts';
import { type BulkCounts, BulkSlots, bulksMax } from './bulk-slots.ts';
import type { CheckAnswer } from './checks.ts';
import { type Admitted, Handshake, type HandshakeHost } from './handshake.ts';
import { type FeedingState, refuse } from './admission.ts';
import type { Hello } from './hello.ts';
import { InSync, type PendingMembers } from './in-sync.ts';
import { Inspections, type InspectionsHost, type ScrubStatus } from './inspections.ts';
import type { Link } from './link.ts';
import type { NodeState } from './node-state.ts';
import { Seeding, type SeedingHost } from './seeding.ts';
import { type SenderHost, SenderSession, sessionKey } from './sender-session.ts';
import { pause } from './timers.ts';
import type { VerifyReport } from './verify.ts';
import type { FollowerReplicationStatus, MemberLife, PartitionView } from './view.ts';
import type { Refusal } from './welcome.ts';

/** Connections that have not said HELLO yet; one more ends the oldest, because a follower says it at once. */
const handshakesMax = 256;
/** A bulk of fewer chunks comes from the primary: what a way round would save is not worth it. */
const seedChunksMinDefault = 8;
/** Followers of all partitions together. */
const sessionsMax = 8_192;

/** How often `verify` looks whether a copy has arrived. */
const copyPollMs = 50;
/** How often a handover looks whether all members have what was sealed. */
const inSyncPollMs = 5;
/** Who holds many replies waits so long for acknowledgements that are on their way. */
const notifyAllMs = 1;

export class Leading implements SenderHost, HandshakeHost, InspectionsHost, SeedingHost {
  readonly state: NodeState;
  readonly #handshakes = new Set<Handshake>();
  readonly #sessions = new Map<string, SenderSession>();
  /** The same by partition: found for every ACK, without making a key. */
  readonly #sessionsOf = new Map<number, SenderSession[]>();
  readonly #bulks = new BulkSlots<SenderSession>((session) => {
    this.#seeding.began(session);
    session.step({ kind: 'bulkGranted' });
  });
  readonly #acks: AckWaiters;
  readonly #inspections: Inspections;
  readonly #wake: () => void;
  readonly #inSync: InSync;
  readonly #seeding: Seeding;
  /** In need of a bulk, and not to be written over before the map says that they are not in sync. */
  readonly #leaving = new Set<SenderSession>();
  #notifiesSoon = false;
  #notifyAll: (() => void) | null = null;

  /** `wake` is called when there is redo to send that no data worker wrote, or a first follower. */
  constructor(state: NodeState, wake: () => void, scrubEveryMs: number) {
    this.state = state;
    this.#acks = new AckWaiters(state.timers);
    this.#wake = wake;
    this.#seeding = new Seeding(this);
    this.#inspections = new Inspections(this, scrubEveryMs);
    this.#inSync = new InSync(
      state,
      state.identity.board ?? null,
      (partition, life) => this.#confirmedSeq(partition, life),
      (partition) => this.#confirmedByAll(partition),
    );
  }

  /** Somebody has connected. */
  incoming(link: Link): Handshake {
    const handshake = new Handshake(this, link);
    this.#handshakes.add(handshake);
    if (this.#handshakes.size > handshakesMax) {
      const [oldest] = this.#handshakes;
      this.state.timers.soon(() => {
        if (this.#handshakes.has(oldest)) oldest.close('too many connections without a HELLO');
      });
    }
    return handshake;
  }

  get hasFollowers(): boolean {
    return this.#sessions.size > 0;
  }

  /** Lets every sender look for redo. Returns whether one had something to do. */
  stepAll(): boolean {
    let busy = false;
    for (const session of this.#sessions.values()) {
      if (session.step({ kind: 'continue' })) busy = true;
    }
    return busy;
  }

  tick(nowMs: number): void {
    for (const handshake of this.#handshakes) handshake.tick(nowMs);
    for (const session of this.#sessions.values()) session.tick(nowMs);
    this.#seeding.tick();
    this.#inspections.tick(nowMs);
  }

  /** Ends the sessions that the map no longer names, before it returns. */
  update(): void {
    const { views, partitions, incarnations } = this.state;
    for (const session of this.#sessions.values()) {
      const { partition, node, epoch, incarnation } = session;
      const view = views.get(partition.id);
      const isNamed =
        view !== undefined &&
        this.state.leads(view.id) !== session.relay &&
        (!session.relay || view.followers.includes(this.state.identity.nodeId)) &&
        partitions.get(view.id) === partition &&
        view.epoch === epoch &&
        (session.isGuest ||
          ((session.isSnapshot ? this.state.observers : view.followers).includes(node) &&
            incarnations[node] === incarnation));
      if (!isNamed) session.close('the map no longer names this follower');
    }
    this.#seeding.update();
    this.#inSync.update();
    this.#letLeaversGo();
    this.#inspections.update();
  }

  /** A bulk is about to write over the copy here: nobody may be sent from it. */
  dropSubscribers(partition: number): void {
    for (const session of this.#sessions.values()) {
      if (session.partition.id === partition) session.close('the copy here is being made anew');
    }
  }

  endSessions(reason: string): void {
    for (const handshake of this.#handshakes) handshake.close(reason);
    for (const session of this.#sessions.values()) session.close(reason);
  }

  close(): void {
    this.#notifyAll?.();
    this.endSessions('the node stops');
    this.#acks.close();
    this.#inspections.close();
  }

  // ------------------------------------------------------------ what the node asks

  followersOf(partition: Partition, committed: number): FollowerReplicationStatus[] {
    if (!this.state.leads(partition.id)) return [];
    const followers = this.state.views.get(partition.id)?.followers ?? [];
    return followers.map((node) => {
      const session = this.#sessionOf(partition.id, node);
      const ackedSeq = session?.ackedSeq ?? 0;
      return {
        node,
        incarnation: session?.incarnation ?? 0,
        state: session?.followerState ?? 'connecting',
        leaving: session !== undefined && this.#leaving.has(session),
        stalled: session?.stalled ?? false,
        ackedSeq,
        lagSeq: Math.max(0, committed - ackedSeq),
        lagSeconds: session?.lagSeconds ?? 0,
        sync: session?.sync ?? null,
        source: this.#seeding.awayOf(partition.id, node)?.source ?? null,
      };
    });
  }

  /** The part of `followersOf` that somebody acts on. */
  digestOf(partition: number): string {
    if (!this.state.leads(partition)) return this.feedsOf(partition).join();
    const followers = this.state.views.get(partition)?.followers ?? [];
    let text = '';
    for (const node of followers) {
      const session = this.#sessionOf(partition, node);
      const marks =
        session === undefined
          ? '0:connecting'
          : `${session.incarnation}:${session.followerState}` +
            `${this.#leaving.has(session) ? '-' : ''}${session.stalled ? '!' : ''}`;
      const source = this.#seeding.awayOf(partition, node)?.source;
      text += `${node}/${marks}${source === undefined ? '' : `@${source}`} `;
    }
    return text;
  }

  /** Whose copies are made from the copy here, which follows, too. */
  feedsOf(partition: number): string[] {
    const sessions = this.sessionsOf(partition).filter(({ relay }) => relay);
    return sessions.map(({ node }) => node);
  }

  sessionsOf(partition: number): readonly SenderSession[] {
    return this.#sessionsOf.get(partition) ?? [];
  }

  get bulks(): BulkCounts {
    const { running, waiting } = this.#bulks;
    return { running, waiting: waiting + this.#seeding.waiting };
  }

  /** Copies that may not be read yet wait for their bytes. */
  get bulksPending(): boolean {
    return this.#bulks.running > 0;
  }

  awaitAck(partition: number, node: string, seq: number, timeoutMs: number): Promise<boolean> {
    return this.#acks.wait(sessionKey(partition, node), seq, timeoutMs);
  }

  /** From now on awaits `kept`, come what may, and those of `joining` that are in step, in place of those that were
   *  given before. Answers those of `joining` that have acknowledged, within so long, all that was committed at this
   *  moment; the others are no longer awaited then. */
  async awaitMembers(
    kept: readonly PendingMembers[],
    joining: readonly PendingMembers[],
    timeoutMs: number,
  ): Promise<PendingMembers[]> {
    const possible = joining
      .filter(({ partition, epoch }) => this.#leadsAt(partition, epoch))
      .map((each) => this.#withThoseInStep(each));
    const pending = [...kept, ...possible];
    this.#inSync.pending = pending;
    const ready = (
      await Promise.all(possible.map((each) => this.#haveWhatIsCommitted(each, timeoutMs)))
    ).filter(({ lives }) => lives.length > 0);
    if (this.#inSync.pending === pending) this.#inSync.pending = [...kept, ...ready];
    this.#letLeaversGo();
    return ready;
  }

  /** Read after they were marked as awaited: whoever saw them not awaited had committed before. */
  async #haveWhatIsCommitted(members: PendingMembers, timeoutMs: number): Promise<PendingMembers> {
    const { partition, lives } = members;
    const copy = this.state.partitions.get(partition);
    const committed = copy?.readStable(() => copy.stats().seq) ?? 0;
    this.#wake();
    const reached = await Promise.all(
      lives.map(({ node }) => this.awaitAck(partition, node, committed, timeoutMs)),
    );
    return this.#withThoseInStep({ ...members, lives: lives.filter((_, i) => reached[i]) });
  }

  #withThoseInStep(members: PendingMembers): PendingMembers {
    return { ...members, lives: members.lives.filter((life) => this.#inStep(members, life)) };
  }

  /** Resolves true once every awaited follower has `seq`, false after `timeoutMs`. */
  async awaitInSync(partition: number, seq: number, timeoutMs: number): Promise<boolean> {
    const giveUpMs = this.state.identity.nowMs() + timeoutMs;
    while (!this.#inSync.has(partition, seq)) {
      if (this.state.identity.nowMs() > giveUpMs) return false;
      await pause(this.state.timers, inSyncPollMs);
    }
    return true;
  }

  #leadsAt(partition: number, epoch: number): boolean {
    return this.state.leads(partition) && this.state.views.get(partition)?.epoch === epoch;
  }

  #inStep({ partition }: PendingMembers, { node, incarnation }: MemberLife): boolean {
    const session = this.#sessionOf(partition, node);
    return session?.incarnation === incarnation && session.followerState === 'streaming';
  }

  #sessionOf(partition: number, node: string): SenderSession | undefined {
    return this.#sessionsOf.get(partition)?.findLast((session) => session.node === node);
  }

  #confirmedSeq(partition: number, { node, incarnation }: MemberLife): number {
    const session = this.#sessionOf(partition, node);
    return session?.incarnation === incarnation ? session.confirmedSeq : -1;
  }

  #confirmedByAll(partition: number): number[] {
    const followers = this.state.views.get(partition)?.followers ?? [];
    return followers.map((node) => this.#sessionOf(partition, node)?.confirmedSeq ?? -1);
  }

  /** Whoever is not awaited any more gets the bulk that it waits for. */
  #letLeaversGo(): void {
    for (const session of this.#leaving) {
      const { partition, node, incarnation } = session;
      if (this.#inSync.isAwaited(partition.id, node, incarnation)) continue;
      this.#leaving.delete(session);
      this.#giveBulk(session, Number.POSITIVE_INFINITY);
    }
  }

  /** What all followers have said at once is told at once. Who holds many replies, which need several partitions, is
   *  told once all that was sent is acknowledged, or in a moment. */
  #notifySoon(): void {
    if (this.#notifiesSoon) return;
    this.#notifiesSoon = true;
    this.state.timers.soon(() => {
      this.#notifiesSoon = false;
      const all = !this.#someAreBehind();
      this.#inSync.notify(all);
      if (!all) {
        const { timers } = this.state;
        this.#notifyAll ??= timers.later(notifyAllMs, () => this.#endNotifying());
      } else if (this.#notifyAll !== null) this.#endNotifying();
    });
  }

  #endNotifying(): void {
    this.#notifyAll?.();
    this.#notifyAll = null;
    this.#inSync.notify(true);
  }

  #someAreBehind(): boolean {
    for (const session of this.#sessions.values()) {
      if (session.isBehind && !session.isSnapshot) return true;
    }
    return false;
  }

  get scrubStatus(): ScrubStatus {
    return this.#inspections.scrubStatus;
  }

  /** Adds to `report` what CHECK markers say of every follower of one partition, and has what differs repaired. A
   *  follower that is being copied, or falls behind so far that it is copied again, is waited for until `deadlineMs`. */
  async verify(id: number, report: VerifyReport, deadlineMs: number): Promise<void> {
    const partition = this.state.partitions.get(id);
    const view = this.state.views.get(id);
    if (partition === undefined || view === undefined || !this.state.leads(id)) {
      const { nodeId } = this.state.identity;
      const why = 'it does not lead the partition';
      report.notChecked.push({ partition: id, node: nodeId, why });
      return;
    }
    let due: readonly string[] = view.followers;
    while (due.length > 0) {
      const lost = await this.#verifyOnce(partition, due, report);
      const isLate = this.state.identity.nowMs() >= deadlineMs;
      due = [...lost.keys()].filter((node) => !isLate && this.#isBeingCopied(id, node));
      for (const [node, why] of lost) {
        if (!due.includes(node)) report.notChecked.push({ partition: id, node, why });
      }
      if (due.length > 0) await pause(this.state.timers, copyPollMs);
    }
  }

  /** Returns the followers that could not be asked, or not to the end, and why. */
  async #verifyOnce(
    partition: Partition,
    nodes: readonly string[],
    report: VerifyReport,
  ): Promise<ReadonlyMap<string, string>> {
    const inStep = this.inStep(partition.id);
    const notReady = nodes
      .filter((node) => !inStep.includes(node))
      .map((node): [string, string] => [node, whyNot(this.#stateOf(partition.id, node))]);
    const ready = nodes.filter((node) => inStep.includes(node));
    const lost = await this.#inspections.verify(partition, ready, report);
    return new Map([...notReady, ...lost]);
  }

  #isBeingCopied(partition: number, node: string): boolean {
    if (this.#seeding.awayOf(partition, node) !== undefined) return true;
    return this.#stateOf(partition, node) !== 'connecting';
  }

  #stateOf(partition: number, node: string): FollowerReplicationStatus['state'] {
    return this.#sessionOf(partition, node)?.followerState ?? 'connecting';
  }

  // ------------------------------------------------------------ what the inspections ask

  /** Those whose CHECK pass is over: before, their own sender compares, and repairs. */
  inStep(partition: number): readonly string[] {
    const followers = this.state.views.get(partition)?.followers ?? [];
    return followers.filter((node) => this.#stateOf(partition, node) === 'streaming');
  }

  wake(): void {
    this.#wake();
  }

  // ------------------------------------------------------------ what the sessions say

  admit(hello: Hello, epoch: number): Pick<Admitted, 'partition' | 'relay'> | Refusal {
    const { identity, partitions, views, incarnations } = this.state;
    const refusal = refuse(hello, epoch, {
      clusterId: identity.clusterId,
      incarnationOf: (nodeId) => incarnations[nodeId],
      partition: (id) => {
        const partition = partitions.get(id);
        const view = views.get(id);
        if (partition === undefined || view === undefined) return null;
        const isPrimary = this.state.leads(id) && partition.role() === ROLE_PRIMARY;
        return {
          geometry: partition.geometry,
          epoch: view.epoch,
          isPrimary,
          followers: view.followers,
          feeding: this.#feedingState(partition, view),
          observers: this.state.observers,
          servesGuests: partition.role() === ROLE_FOLLOWER && partition.consistent(),
        };
      },
    });
    if (refusal !== null) {
      const { seedsRefused } = this.state.counters;
      if (refusal.code === 'noSlots' || refusal.code === 'noSource') seedsRefused[refusal.code]++;
      return refusal;
    }
    if (this.#sessions.size >= sessionsMax) {
      return {
        code: 'busy',
        text: `${sessionsMax} followers are served here: spread the partitions`,
      };
    }
    const partition = partitions.get(hello.partition);
    invariant(partition !== undefined, 'a welcome HELLO names a partition that is here');
    return { partition, relay: !this.state.leads(partition.id) };
  }

  /** A copy that the primary itself keeps up to date may feed others: so whoever is fed feeds nobody, and no chain is
   *  longer than one. */
  #feedingState(partition: Partition, view: PartitionView): FeedingState | undefined {
    const { identity } = this.state;
    if (!view.followers.includes(identity.nodeId)) return undefined;
    const isAble =
      identity.seeding !== false &&
      partition.role() === ROLE_FOLLOWER &&
      partition.epoch() === view.epoch &&
      partition.consistent() &&
      this.state.followsPrimary(partition.id);
    if (!isAble) return 'noSource';
    return this.#bulks.running + this.#bulks.waiting < bulksMax ? 'able' : 'noSlots';
  }

  begin(handshake: Handshake, admitted: Admitted): SenderSession {
    this.#handshakes.delete(handshake);
    const session = new SenderSession(this, admitted);
    const { key, partition } = session;
    const { hello, relay } = admitted;
    if (!relay) this.#seeding.returned(partition.id, hello.nodeId, hello.consistent);
    this.#sessions.get(key)?.close('the follower connected again');
    this.#sessions.set(key, session);
    this.#sessionsOf.set(partition.id, [...(this.#sessionsOf.get(partition.id) ?? []), session]);
    this.#wake(); // from now on writes are of interest
    return session;
  }

  failed(handshake: Handshake): void {
    this.#handshakes.delete(handshake);
  }

  /** All senders are stepped every millisecond while the hub is awake. */
  paced(): void {
    this.#wake();
  }

  awaitBulk(session: SenderSession, chunks: number): void {
    this.#lost(session, 'it fell behind and is being copied again');
    const { partition, node, incarnation } = session;
    // It may be all that is left of what was acknowledged: a map without it comes first.
    if (!this.#inSync.isAwaited(partition.id, node, incarnation)) this.#giveBulk(session, chunks);
    else if (session.relay) session.close('whoever is in sync is at the primary');
    else this.#leaving.add(session);
  }

  /** A first bulk that is large may come from a follower, all others from here. */
  #giveBulk(session: SenderSession, chunks: number): void {
    const { seeding = true, seedChunksMin = seedChunksMinDefault } = this.state.identity;
    if (seeding && session.mayBeSeeded && chunks >= seedChunksMin) this.#seeding.joins(session);
    else this.feed(session);
  }

  /** From here. */
  feed(session: SenderSession): void {
    this.#bulks.request(session);
  }

  synced(session: SenderSession): void {
    this.#seeding.made(session);
  }

  bulkEnded(session: SenderSession): void {
    this.#releaseBulk(session);
  }

  acknowledged(session: SenderSession, seq: number): void {
    session.confirmedSeq = seq;
    this.#acks.acknowledged(session.key, seq);
    this.#inSync.moved(session.partition.id);
    this.#notifySoon();
  }

  answered(session: SenderSession, answer: CheckAnswer): void {
    this.state.counters.checks++;
    if (answer.expected !== answer.actual) this.state.counters.checksFailed++;
    this.#inspections.answered(session.partition.id, session.node, answer);
  }

  ended(session: SenderSession, reason: string): void {
    const { key } = session;
    this.#releaseBulk(session);
    this.#seeding.ended(session);
    this.#leaving.delete(session);
    this.#lost(session, 'the connection was lost');
    if (this.#sessions.get(key) === session) this.#sessions.delete(key);
    const others = this.#sessionsOf.get(session.partition.id) ?? [];
    this.#sessionsOf.set(
      session.partition.id,
      others.filter((other) => other !== session),
    );
    this.#inSync.moved(session.partition.id);
    const { partition, node } = session;
    const level = session.isRoundOver ? 'debug' : session.isSentAway ? 'info' : 'warn';
    this.state.identity.log({
      level,
      event: 'connectionLost',
      partition: partition.id,
      node,
      reason,
    });
  }

  /** Who gave way to the last bulk goes on. */
  #releaseBulk(session: SenderSession): void {
    this.#bulks.release(session);
    if (!this.bulksPending) this.#wake();
  }

  #lost(session: SenderSession, why: string): void {
    session.confirmedSeq = -1;
    this.#acks.forget(session.key);
    this.#inspections.lost(session.partition.id, session.node, why);
  }
}

function whyNot(state: FollowerReplicationStatus['state']): string {
  return state === 'connecting' ? 'it is not connected' : `it is still being copied (${state})`;
}
