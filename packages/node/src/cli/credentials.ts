/** Options and environment -> what this process proves itself with. Reads the files they name. */
import { type Credentials, NO_CREDENTIALS } from '../shared/credentials.ts';
import { certificatesFrom } from './certificate-files.ts';
import { type Environment, secretFrom } from './secret.ts';
import type { OptionValues } from './values.ts';

/** NO_CREDENTIALS itself where nothing is given. */
export function credentialsFrom(values: OptionValues, environment: Environment): Credentials {
  const secret = secretFrom(values, environment);
  const certificates = certificatesFrom(values);
  return secret === null && certificates === null ? NO_CREDENTIALS : { secret, certificates };
}
