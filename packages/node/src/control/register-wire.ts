/** What proposers and acceptors say to each other, in the types of the register and in those of
 *  ingot.proto. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { AcceptAnswer, Ballot, PrepareAnswer } from '../register/acceptor-calls.ts';
import { refusal } from '../shared/errors.ts';
import { type Life, lifeSchema } from '../shared/map.ts';
import {
  type AcceptReply,
  AcceptReplySchema,
  type Ballot as BallotMessage,
  type BallotSchema,
  type Life as LifeMessage,
  type PrepareReply,
  PrepareReplySchema,
} from './gen/ingot_pb.ts';
import { mapFromWire, mapToWire } from './wire.ts';

export function ballotToWire({ round, proposer }: Ballot): MessageInitShape<typeof BallotSchema> {
  return { round: BigInt(round), proposer };
}

/** Throws where there is none: every ballot has one. */
export function ballotFromWire(message: BallotMessage | undefined): Ballot {
  const round = Number(message?.round ?? 0n);
  if (message === undefined || !Number.isSafeInteger(round)) {
    throw refusal('BAD_BALLOT', 'the call names no ballot');
  }
  return { round, proposer: message.proposer };
}

/** Throws an IngotError where none is named. */
export function lifeFromWire(message: LifeMessage | undefined): Life {
  const parsed = lifeSchema.safeParse(message);
  if (parsed.success) return parsed.data;
  throw refusal('BAD_LIFE', 'the call names no life of a node');
}

export function prepareAnswerToWire(answer: PrepareAnswer): PrepareReply {
  return create(PrepareReplySchema, { outcome: prepareOutcome(answer) });
}

export function prepareAnswerFromWire({ outcome }: PrepareReply): PrepareAnswer {
  if (outcome.case !== 'promised') return refusalFromWire(outcome);
  const { ballot, mapJson } = outcome.value;
  if (ballot === undefined) return { kind: 'promised', accepted: null };
  const accepted = { ballot: ballotFromWire(ballot), map: mapFromWire(mapJson) };
  return { kind: 'promised', accepted };
}

export function acceptAnswerToWire(answer: AcceptAnswer): AcceptReply {
  const outcome: NonNullable<MessageInitShape<typeof AcceptReplySchema>['outcome']> =
    answer.kind === 'accepted' ? { case: 'accepted', value: true } : refusalToWire(answer);
  return create(AcceptReplySchema, { outcome });
}

export function acceptAnswerFromWire({ outcome }: AcceptReply): AcceptAnswer {
  return outcome.case === 'accepted' ? { kind: 'accepted' } : refusalFromWire(outcome);
}

type RefusedAnswer = Exclude<AcceptAnswer, { kind: 'accepted' }>;

type RefusedOutcome =
  | { case: 'outbid'; value: MessageInitShape<typeof BallotSchema> }
  | { case: 'fenced' | 'stranger'; value: boolean };

function prepareOutcome(
  answer: PrepareAnswer,
): NonNullable<MessageInitShape<typeof PrepareReplySchema>['outcome']> {
  if (answer.kind !== 'promised') return refusalToWire(answer);
  const { accepted } = answer;
  if (accepted === null) return { case: 'promised', value: {} };
  const { ballot, map } = accepted;
  return { case: 'promised', value: { ballot: ballotToWire(ballot), mapJson: mapToWire(map) } };
}

function refusalToWire(answer: RefusedAnswer): RefusedOutcome {
  if (answer.kind === 'outbid') return { case: 'outbid', value: ballotToWire(answer.ballot) };
  return { case: answer.kind, value: true };
}

function refusalFromWire(outcome: {
  readonly case: string | undefined;
  readonly value?: unknown;
}): RefusedAnswer {
  if (outcome.case === 'outbid') {
    return { kind: 'outbid', ballot: ballotFromWire(outcome.value as BallotMessage) };
  }
  if (outcome.case === 'fenced' || outcome.case === 'stranger') return { kind: outcome.case };
  throw new Error('the acceptor gave an answer that this version does not know');
}
