/** Whether a history of calls is linearizable: whether each call could have taken effect at one moment between its start and
 *  its end, so that all results are those of calls that came one by one.
 *
 *  Walks through starts and ends as they came, and keeps the *configurations* that fit so far: a state of the key, and which of
 *  the calls under way have taken effect. A call must have done so when it ends: then each configuration lets calls that
 *  are under way take effect, in any order, up to that one. A history is broken where none is left. Callers call one thing
 *  at a time, so there are few calls under way, and few configurations.
 *  Made for few callers and operations of every kind; `test/support/linearizable.ts` is for registers with many writes whose
 *  outcome nobody knows. Source: Lowe: Testing for linearizability (2017), just-in-time linearization. */
import { after, type Call, MISFIT, type State, textOf } from './calls.ts';

interface Configuration {
  readonly state: State;
  /** Bit c: the call under way of client c has taken effect. */
  readonly done: number;
}

interface Moment {
  readonly at: number;
  readonly isEnd: boolean;
  readonly call: Call;
}

const STATES_SHOWN = 4;

/** Null: linearizable, key by key, where every key is absent at first. Otherwise the first call, by its end, that no
 *  order explains, with what could be there. */
export function historyBroken(history: readonly Call[]): string | null {
  const broken: { at: number; text: string }[] = [];
  for (const [key, calls] of Map.groupBy(history, (call) => call.key)) {
    const found = keyBroken(calls);
    if (found !== null) broken.push({ at: found.at, text: `key ${key}: ${found.text}` });
  }
  return broken.sort((a, b) => a.at - b.at)[0]?.text ?? null;
}

function keyBroken(calls: readonly Call[]): { at: number; text: string } | null {
  const underWay: (Call | undefined)[] = [];
  let configurations: Configuration[] = [{ state: null, done: 0 }];
  for (const { at, isEnd, call } of momentsOf(calls)) {
    if (!isEnd) {
      underWay[call.client] = call;
      continue;
    }
    const left = endOf(call.client, underWay, configurations);
    if (left.length === 0) return { at, text: complaint(call, underWay, configurations) };
    configurations = left;
    underWay[call.client] = undefined;
  }
  return null;
}

/** Of equal times starts come first: calls that touch overlap. */
function momentsOf(calls: readonly Call[]): Moment[] {
  const moments: Moment[] = [];
  for (const call of calls) {
    moments.push({ at: call.start, isEnd: false, call });
    if (call.end !== Infinity) moments.push({ at: call.end, isEnd: true, call });
  }
  return moments.sort((a, b) => a.at - b.at || Number(a.isEnd) - Number(b.isEnd));
}

/** What is left when the call of this client has ended. */
function endOf(
  client: number,
  underWay: readonly (Call | undefined)[],
  configurations: readonly Configuration[],
): Configuration[] {
  const left: Configuration[] = [];
  const seen = new Set<string>();
  const isNew = ({ state, done }: Configuration): boolean => {
    const text = `${done} ${state}`;
    return !seen.has(text) && seen.add(text).size > 0;
  };
  const open = configurations.filter(isNew);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { state, done } = next;
    if ((done & (1 << client)) !== 0) {
      left.push({ state, done: done & ~(1 << client) });
      continue;
    }
    for (let other = 0; other < underWay.length; other++) {
      const call = underWay[other];
      if (call === undefined || (done & (1 << other)) !== 0) continue;
      const following = after(state, call.operation, call.end !== Infinity);
      if (following === MISFIT) continue;
      const reached = { state: following, done: done | (1 << other) };
      if (isNew(reached)) open.push(reached);
    }
  }
  return left;
}

function complaint(
  call: Call,
  underWay: readonly (Call | undefined)[],
  configurations: readonly Configuration[],
): string {
  const states = [...new Set(configurations.map(({ state }) => state ?? 'absent'))];
  const shown = states.slice(0, STATES_SHOWN).join(' or ');
  const others = underWay.filter((other) => other !== undefined && other !== call);
  const beside = others.map((other) => textOf(other as Call)).join('; ');
  return (
    `no order explains ${textOf(call)}: before it the key was ${shown}` +
    (beside === '' ? ', and nothing else was under way' : `, and under way were ${beside}`)
  );
}
