/** How far an import has come, kept in a file beside it: the same command goes on from there.
 *
 *  A cursor of SCAN belongs to one process of the source; another life of it makes the file worthless, and the import
 *  begins again. Replaced whole by rename; readable by its owner alone, since it names keys. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { refusal } from '../shared/errors.ts';
import { countsSchema, type ImportCounts } from './counts.ts';

const VERSION = 1;

/** Which import it is. */
export interface ImportIdentity {
  readonly source: string;
  readonly target: string;
  readonly replace: boolean;
}

export interface ImportState {
  readonly identity: ImportIdentity;
  /** Of the process of the source. */
  readonly runId: string;
  readonly cursor: string;
  readonly counts: ImportCounts;
}

const schema: z.ZodType<ImportState & { version: number }> = z.object({
  version: z.literal(VERSION),
  identity: z.object({ source: z.string(), target: z.string(), replace: z.boolean() }),
  runId: z.string(),
  cursor: z.string().regex(/^\d+$/),
  counts: countsSchema,
});

export class StateFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** null where there is none. Throws where it is of another import, or no such file. */
  read(identity: ImportIdentity): ImportState | null {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw this.#unusable((error as NodeJS.ErrnoException).code ?? String(error));
    }
    const state = parsed(text);
    if (state === null) throw this.#unusable('it is not the state of an import');
    const { source, target, replace } = state.identity;
    if (source !== identity.source || target !== identity.target) {
      throw this.#unusable(`it is of an import from ${source} to ${target}`);
    }
    if (replace !== identity.replace) {
      throw this.#unusable(`that import ran ${replace ? 'with' : 'without'} --replace`);
    }
    return state;
  }

  write(state: ImportState): void {
    const next = `${this.path}.new`;
    try {
      writeFileSync(next, JSON.stringify({ version: VERSION, ...state }), { mode: 0o600 });
      renameSync(next, this.path);
    } catch (error) {
      throw this.#unusable((error as NodeJS.ErrnoException).code ?? String(error));
    }
  }

  remove(): void {
    rmSync(this.path, { force: true });
  }

  #unusable(why: string): Error {
    return refusal(
      'STATE_UNUSABLE',
      `the state file ${this.path} cannot be used (${why}); remove it to begin again, or give another with --state`,
    );
  }
}

function parsed(text: string): ImportState | null {
  try {
    return schema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
