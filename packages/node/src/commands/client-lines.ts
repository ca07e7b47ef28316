/** A connection as CLIENT LIST and CLIENT INFO show it, in Redis' fields and order. */

import type { Session } from '../serving/session.ts';

export function describeClient(session: Session, nowMs: number): string {
  const seconds = (sinceMs: number): number => Math.max(0, Math.floor((nowMs - sinceMs) / 1000));
  const { queryBytes, queryRoomBytes, queuedBytes, repliesDue, replyBytes } = session.figures;
  const fields: readonly [string, string | number][] = [
    ['id', session.id],
    ['addr', session.address],
    ['laddr', session.localAddress],
    ['fd', -1],
    ['name', session.name],
    ['age', seconds(session.connectedAtMs)],
    ['idle', seconds(session.lastActiveAtMs)],
    ['flags', session.flags],
    ['db', 0],
    ['sub', 0],
    ['psub', 0],
    ['ssub', 0],
    ['multi', session.queuedCount],
    ['watch', session.watchedCount],
    ['qbuf', queryBytes],
    ['qbuf-free', queryRoomBytes],
    ['multi-mem', queuedBytes],
    ['obl', 0],
    ['oll', repliesDue],
    ['omem', replyBytes],
    ['tot-mem', session.heldBytes],
    ['events', 'r'],
    ['cmd', session.lastCommand],
    ['user', 'default'],
    ['redir', -1],
    ['resp', session.protocol],
    ['lib-name', session.libName],
    ['lib-ver', session.libVersion],
  ];
  return fields.map(([name, value]) => `${name}=${value}`).join(' ');
}
