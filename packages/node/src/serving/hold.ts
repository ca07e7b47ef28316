/** Why a connection does not execute. */
export const Hold = {
  /** A partition is between two owners. */
  parked: 1,
  /** The command in hand works elsewhere, and the next one must see its effect. */
  work: 2,
  /** The next command must come after all replies that are due. */
  replies: 4,
  /** The client does not read fast enough. */
  output: 8,
  /** The link to another node is full. */
  link: 16,
  /** Too many replies are due. */
  late: 32,
  /** Others have their turn. */
  turn: 64,
  /** Other clients' large commands have all the memory that there is for such. */
  memory: 256,
  /** CLIENT PAUSE. */
  paused: 128,
} as const;
