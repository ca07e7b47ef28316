/** Entry of the replication worker: hosts the hub that copies partitions to and from other nodes.
 *  It passes maps and copies in, answers the main thread's questions, and tells it what changed.
 *  The hub does the work, and sleeps on the wake word between bursts. */

import { AckBoard, ReplicationHub, SnapshotBoard, type SnapshotOptions } from '@ingot/replication';
import { attachPartition } from '@ingot/store';
import type { ReplicationStatus, ToReplicationWorker } from '../shared/messages.ts';
import { PORT_FLAGS } from '../shared/settings.ts';
import { ClientLoadMeter } from './client-load.ts';
import { monotonicMs } from './monotonic-clock.ts';
import { bindError } from './ports.ts';
import { replicationView } from './replication-view.ts';
import { closeLine, log, onMessage, ownData, post, reply } from './worker-side.ts';

/** So often a follower hears within --stale-max, at least. */
const SIGNS_OF_LIFE = 2.5;
const SIGN_OF_LIFE_MS_MAX = 2_000;

const { settings, nodeId, incarnation, map, handles, sealed, wake, acks, clientCounters } =
  ownData();
const snapshots = snapshotOptions();
const clientLoad = new ClientLoadMeter(clientCounters);
const port = settings.ports.replication;

const hub = new ReplicationHub({
  nodeId,
  incarnation,
  clusterId: map.clusterId,
  ...settings.credentials,
  host: settings.host,
  port,
  wake,
  board: new AckBoard(acks, map.partitions),
  monotonicMs,
  signOfLifeMs:
    settings.staleMaxMs === 0
      ? SIGN_OF_LIFE_MS_MAX
      : Math.min(SIGN_OF_LIFE_MS_MAX, settings.staleMaxMs / SIGNS_OF_LIFE),
  scrubEveryMs: settings.scrubEveryMs,
  ...(snapshots === null ? {} : { snapshots }),
  log: ({ level, event, ...fields }) => log(level, event, fields),
  nowMs: Date.now,
  // The main thread hears of changes: it needs them for heartbeats and readiness.
  ticked: tellStatus,
  pacing: { rate: settings.syncRate, load: () => clientLoad.read() },
});

let toldDigest = '';

onMessage((message: ToReplicationWorker) => {
  switch (message.kind) {
    case 'map':
      return hub.configure(replicationView(message.map, nodeId));
    case 'life':
      return hub.beginLife(message.incarnation);
    case 'attach':
      return hub.attach(attachPartition(message.handle));
    case 'detach':
      return hub.detach(message.partition);
    case 'role':
      return hub.wake();
    case 'verify':
      return void reply(message.id, () => hub.verify([...message.partitions]));
    case 'awaitAck': {
      const { partition, node, seq, timeoutMs } = message;
      return void reply(message.id, () => hub.awaitAck(partition, node, seq, timeoutMs));
    }
    case 'awaitInSync': {
      const { partition, seq, timeoutMs } = message;
      return void reply(message.id, () => hub.awaitInSync(partition, seq, timeoutMs));
    }
    case 'awaitMembers': {
      const { kept, joining, timeoutMs } = message;
      return void reply(message.id, () => hub.awaitMembers(kept, joining, timeoutMs));
    }
    case 'sealCopies':
      return void reply(message.id, () => hub.sealCopies(message.partitions));
    case 'status':
      return void reply(message.id, status);
    case 'stop':
      return void stop();
  }
});

await start();

async function start(): Promise<void> {
  for (const handle of handles) hub.attach(attachPartition(handle));
  hub.sealCopies(sealed);
  try {
    await hub.listen();
  } catch (error) {
    const refused = bindError(
      error as NodeJS.ErrnoException,
      PORT_FLAGS.replication,
      settings.host,
      port,
    );
    post({ kind: 'failed', code: refused.code, text: refused.message });
    return;
  }
  hub.configure(replicationView(map, nodeId));
  post({ kind: 'ready' });
}

async function stop(): Promise<void> {
  await hub.close();
  clientLoad.close();
  closeLine();
}

function status(): ReplicationStatus {
  return {
    partitions: hub.status(),
    counters: hub.counters(),
    bulks: hub.bulks(),
    scrub: hub.scrubStatus(),
    snapshots: hub.snapshotStatus(),
  };
}

function snapshotOptions(): SnapshotOptions | null {
  const { snapshots: memory } = ownData();
  if (!memory) return null;
  return {
    images: memory.images.map(([a, b]) => [attachPartition(a), attachPartition(b)]),
    board: new SnapshotBoard(memory.board, map.partitions),
    everyMs: settings.snapshotEveryMs,
  };
}

/** An idle node says nothing. */
function tellStatus(): void {
  const digest = hub.digest();
  if (digest === toldDigest) return;
  toldDigest = digest;
  post({ kind: 'replicationStatus', status: status() });
}
