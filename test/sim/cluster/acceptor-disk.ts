/** The file of an acceptor on a simulated machine. A wiped one is another acceptor. */
import type {
  AcceptorState,
  AcceptorStorage,
} from '../../../packages/node/src/register/acceptor.ts';
import type { AcceptedMap, Ballot } from '../../../packages/node/src/register/acceptor-calls.ts';
import { noBallot } from '../../../packages/node/src/register/ballots.ts';
import type { ClusterMap, Life } from '../../../packages/node/src/shared/map.ts';
import { SimDisk } from './disk.ts';
import type { Host, SimProcess } from './host.ts';

const nothing: AcceptorState = { promised: noBallot, accepted: null, fences: new Map() };

/** Stays with the machine. */
export class AcceptorDisk {
  readonly disk: SimDisk<AcceptorState>;
  readonly #host: Host;
  #births = 1;

  constructor(host: Host) {
    this.#host = host;
    this.disk = new SimDisk(host.world.random);
  }

  get id(): string {
    return `${this.#host.id}-a${this.#births}`;
  }

  /** It has accepted the first map. */
  found(map: ClusterMap): void {
    const accepted = { ballot: { round: 1, proposer: 'founder' }, map };
    this.disk.found({ promised: accepted.ballot, accepted, fences: new Map() });
  }

  wipe(): void {
    this.disk.wipe();
    this.#births++;
  }

  /** As a process has it open. */
  openFor(process: SimProcess): AcceptorStorage {
    const { disk, id } = this;
    const state = (): AcceptorState => disk.read() ?? nothing;
    return {
      id,
      load: state,
      putPromised: (promised: Ballot) => disk.write({ ...state(), promised }),
      putAccepted: (accepted: AcceptedMap) =>
        disk.write({ ...state(), promised: accepted.ballot, accepted }),
      putFence: ({ node, incarnation }: Life) =>
        disk.write({ ...state(), fences: new Map(state().fences).set(node, incarnation) }),
      flushed: () => disk.flushed(process.later),
    };
  }
}
