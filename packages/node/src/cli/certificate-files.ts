/** The files behind --tls-cert, --tls-key and --tls-ca: read, and checked as far as they can be
 *  before a peer sees them. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Certificates } from '@ingot/replication';
import { refusal, usageError } from '../shared/errors.ts';
import { readPrivateFile } from './private-file.ts';
import type { OptionValues } from './values.ts';

export const TLS_OPTIONS = ['tls-cert', 'tls-key', 'tls-ca'] as const;

/** null: none are given. */
export function certificatesFrom(values: OptionValues): Certificates | null {
  const [cert, key, ca] = TLS_OPTIONS.map((name) => values.text(name));
  if (cert === null && key === null && ca === null) return null;
  if (cert === null || key === null || ca === null) {
    throw usageError('--tls-cert, --tls-key and --tls-ca belong together: give all three or none');
  }
  const certificates: Certificates = {
    cert: readPem(cert, '--tls-cert'),
    key: readPrivateFile(key, 'the key').toString('utf8'),
    ca: readPem(ca, '--tls-ca'),
  };
  try {
    createSecureContext(certificates);
  } catch (error) {
    throw refusal(
      'BAD_CERTIFICATE',
      `${cert}, ${key} and ${ca} cannot be used together (${(error as Error).message}); ` +
        'check that they are PEM files and that the key is that of the certificate',
    );
  }
  return certificates;
}

/** What a node's own certificate must say: every peer would refuse it otherwise. */
export function refuseCertificateOfOther({ cert }: Certificates, id: string): void {
  const certificate = new X509Certificate(cert);
  if (certificate.checkHost(id, { subject: 'always', wildcards: false }) === id) return;
  throw refusal(
    'BAD_CERTIFICATE',
    `the certificate (${certificate.subject}) does not name ${id}; ` +
      `make one whose common name or DNS name is ${id}, or start with the --id that it names`,
  );
}

function readPem(path: string, flag: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw refusal('BAD_CERTIFICATE', `${path} cannot be read (${code ?? message}); check ${flag}`);
  }
}
