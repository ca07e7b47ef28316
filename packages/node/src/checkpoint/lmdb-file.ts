/** How every LMDB file that holds copies or their redo is opened: looked at before it is mapped, with keys that LMDB keeps its
 *  free pages by, and with transactions that are on disk once they have ended. */
import { existsSync } from 'node:fs';
import { open, type RootDatabase } from 'lmdb';
import { tornFile } from './torn-file.ts';

/** It cannot be read as what it should be, now or later. Any other error may pass: of the disk, of the process. */
export class DamagedFile extends Error {}

/** LMDB's words for a file that it did not leave so: page not found, corrupted, another version, invalid, incompatible. */
const DAMAGE_CODES: ReadonlySet<unknown> = new Set([-30_797, -30_796, -30_794, -30_793, -30_784]);

export function isDamage(error: unknown): boolean {
  if (error instanceof DamagedFile) return true;
  return DAMAGE_CODES.has((error as { code?: unknown }).code);
}

/** `mapBytes`: null opens what is there, and changes nothing; else the file is made where it is missing, and may grow so far.
 *  Throws DamagedFile where the file is torn. */
export function openLmdbFile(
  path: string,
  mapBytes: number | null,
): RootDatabase<Uint8Array, number> {
  if (mapBytes === null || existsSync(path)) {
    const torn = tornFile(path);
    if (torn !== null) throw new DamagedFile(torn);
  }
  return open({
    path,
    encoding: 'binary',
    noSubdir: true,
    // Not 'uint32': with such keys lmdb 3.5.6 loses its list of free pages when the file is opened again.
    keyEncoding: 'ordered-binary',
    // A transaction is on disk once it has ended; no promise is made behind our back.
    overlappingSync: false,
    eventTurnBatching: false,
    ...(mapBytes === null ? { readOnly: true } : { mapSize: mapBytes }),
  });
}
