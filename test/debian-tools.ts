/** Programs that come from Debian packages. A test that needs one runs where it is installed and says
 *  so where it is not; CI installs them all and takes no such line. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The path of `program`, or null after printing which package brings it. */
export function debianTool(program: string, debianPackage: string): string | null {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  process.stdout.write(`NOT RUN: needs ${debianPackage}\n`);
  return null;
}
