/** Entry of a process of its own: reads one checkpoint as a loading thread does, and ends with 0 where it lived through that,
 *  whatever it found. Asked of a file whose reading has been cut short more than once: by impatience, or by the file. */
import { argv } from 'node:process';
import { attachPartition, createPartition } from '@ingot/store';
import { CheckpointFile, CheckpointFolder } from '../checkpoint/checkpoint-file.ts';
import { loadCheckpoint } from '../checkpoint/load.ts';
import type { LoaderData } from './checkpoint-recovery.ts';

const { dataDir, clusterId, node, eviction, geometry, partitions } = JSON.parse(
  argv[2],
) as LoaderData;
const folder = new CheckpointFolder(dataDir);

for (const partition of partitions) {
  const file = new CheckpointFile(folder.fileOf(partition), null);
  const copy = attachPartition(createPartition(geometry, partition, { eviction }));
  const steps = loadCheckpoint(file, { clusterId, node, partition, geometry }, copy);
  while (steps.next().done !== true);
  await file.close();
}
