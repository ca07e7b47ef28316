/** A certificate authority for tests, made by openssl in a folder that vanishes. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Certificates } from './certificates.ts';

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export class TestAuthority {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'ingot-ca-'));
  #made = 0;

  constructor() {
    this.#openssl([
      ...['req', '-x509', ...CURVE, '-days', '2', '-subj', '/CN=test authority'],
      ...['-keyout', 'ca.key', '-out', 'ca.pem'],
    ]);
  }

  /** A certificate whose common name, and DNS names, are these; it ends in so many days. */
  issue(
    name: string,
    { dnsNames = [name], days = 2 }: { dnsNames?: readonly string[]; days?: number } = {},
  ): Certificates & { readonly paths: Record<'cert' | 'key' | 'ca', string> } {
    const stem = `${++this.#made}-${name}`;
    const alternatives = dnsNames.map((dns) => `DNS:${dns}`).join(',');
    writeFileSync(this.#path(`${stem}.ext`), `subjectAltName=${alternatives}\n`);
    this.#openssl([
      ...['req', ...CURVE, '-subj', `/CN=${name}`],
      ...['-keyout', `${stem}.key`, '-out', `${stem}.csr`],
    ]);
    this.#openssl([
      ...['x509', '-req', '-in', `${stem}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key'],
      ...['-CAcreateserial', '-out', `${stem}.pem`, '-extfile', `${stem}.ext`, '-days', `${days}`],
    ]);
    const paths = {
      cert: this.#path(`${stem}.pem`),
      key: this.#path(`${stem}.key`),
      ca: this.#path('ca.pem'),
    };
    const read = (path: string): string => readFileSync(path, 'utf8');
    return { cert: read(paths.cert), key: read(paths.key), ca: read(paths.ca), paths };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #path(file: string): string {
    return join(this.folder, file);
  }

  #openssl(args: readonly string[]): void {
    try {
      execFileSync('openssl', args, { cwd: this.folder, stdio: 'pipe' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new Error('needs openssl: apt-get install openssl', { cause: error });
    }
  }
}
