/** Metrics that are sums of the data workers' counters: what clients did, and how often a limit struck
 *  (serving/limits.ts says which; docs/limits.md shows both). */

import type { CounterName } from './layout.ts';

export const CLIENT_COUNTERS: readonly (readonly [name: string, row: CounterName, help: string])[] =
  [
    ['connections_total', 'connectionsTotal', 'Client connections accepted'],
    ['network_received_bytes_total', 'receivedBytes', 'Bytes received from clients'],
    ['network_sent_bytes_total', 'sentBytes', 'Bytes sent to clients'],
    ['keyspace_hits_total', 'hits', 'Key lookups that found the key'],
    ['keyspace_misses_total', 'misses', 'Key lookups that did not find the key'],
    ['forwarded_total', 'forwarded', 'Commands forwarded to the node that owns their key'],
    ['redirects_total', 'redirects', 'Commands answered with MOVED'],
    ['follower_reads_total', 'followerReads', 'Reads answered from a follower copy'],
    ['parks_total', 'parks', 'Times a connection waited for a change of owner'],
    [
      'auth_failures_total',
      'authFailures',
      'Wrong passwords of clients, and links that could not prove themselves',
    ],
    ['protocol_errors_total', 'protocolErrors', 'Connections closed for breaking the protocol'],
    ['connections_refused_total', 'connectionsRefused', 'Clients turned down: maxclients'],
    ['idle_ended_total', 'idleEnded', 'Connections ended because their client was silent'],
    [
      'clients_evicted_total',
      'clientsEvicted',
      'Connections ended because all of them together held too much memory, and this one most',
    ],
    [
      'unauthenticated_ended_total',
      'unauthenticatedEnded',
      'Connections ended because their client gave no password in time, or to make room for others',
    ],
    [
      'unauthenticated_commands_ended_total',
      'unauthenticatedCommandsEnded',
      'Connections ended because a command was larger than one may be before the password',
    ],
    [
      'query_buffer_ended_total',
      'queryBufferEnded',
      'Connections ended because an unfinished command was too long',
    ],
    [
      'arguments_ended_total',
      'argumentsEnded',
      'Connections ended because a command had too many arguments',
    ],
    ['bulks_ended_total', 'bulksEnded', 'Connections ended because an argument was too long'],
    ['lines_ended_total', 'linesEnded', 'Connections ended because an inline command was too long'],
    [
      'values_refused_total',
      'valuesRefused',
      'Commands refused because an argument was longer than any value may be',
    ],
    [
      'transit_waits_total',
      'transitWaits',
      'Times a large command, or a copy to be sent, waited for memory',
    ],
    [
      'stalled_ended_total',
      'stalledEnded',
      'Connections ended because a large command did not arrive while others waited for its memory',
    ],
    [
      'output_ended_total',
      'outputEnded',
      'Connections ended because their client did not read its replies',
    ],
    ['replies_refused_total', 'repliesRefused', 'Replies that would have been too long'],
    [
      'transactions_refused_total',
      'transactionsRefused',
      'Commands refused because their transaction queues too many bytes',
    ],
    ['pins_ended_total', 'pinsEnded', 'Connections ended because they held a value in memory'],
    ['turns_over_total', 'turnsOver', 'Times a connection gave way to others'],
    ['late_waits_total', 'lateWaits', 'Times a connection waited because too many replies are due'],
    [
      'link_waits_total',
      'linkWaits',
      'Times a connection waited because the link to another node was full',
    ],
    [
      'link_waits_refused_total',
      'linkWaitsRefused',
      'Commands refused because the link to another node stayed full',
    ],
    [
      'links_ended_total',
      'linksEnded',
      'Links ended because the other node did not answer, or could not be reached in time',
    ],
    [
      'parks_refused_total',
      'parksRefused',
      'Commands refused because too many connections wait for a change of owner',
    ],
  ];
