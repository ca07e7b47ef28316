/** The `ingot` command: runs what the arguments ask for and turns every outcome into an exit code.
 *  The one place that prints errors. What is no IngotError is a bug and keeps its stack. */
import { EXIT_REFUSED, IngotError } from '../shared/errors.ts';
import { runProgram } from './program.ts';

const EXIT_BUG = 70;

try {
  process.exit(await runProgram(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`ingot: ${describe(error)}\n`);
  process.exit(exitCodeOf(error));
}

/** The store's errors are coded sentences too; it knows nothing of exit codes. */
function isRefusal(error: unknown): error is Error {
  return error instanceof Error && error.name === 'StoreError';
}

function describe(error: unknown): string {
  if (error instanceof IngotError || isRefusal(error)) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof IngotError) return error.exitCode;
  return isRefusal(error) ? EXIT_REFUSED : EXIT_BUG;
}
