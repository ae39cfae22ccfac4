// Certificates of a test's own, made by openssl.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** SHA-256 as openssl prints it. */
  readonly fingerprint: string;
  /** Where cert and key lie. */
  readonly certFile: string;
  readonly keyFile: string;
}

/** Makes certificates in a folder: self-signed ones, and those that one of them signs. */
export function certificates(path: (name: string) => string) {
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const read = (name: string): Certificate => {
    const [certFile, keyFile] = [path(`${name}.pem`), path(`${name}.key`)];
    const fingerprint = openssl('x509', '-in', certFile, '-noout', '-fingerprint', '-sha256').split('=')[1]!.trim();
    return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8'), fingerprint, certFile, keyFile };
  };
  const key = (name: string) => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    path(`${name}.key`),
  ];
  return {
    selfSigned(name: string, alternative = 'DNS:localhost,IP:127.0.0.1', days = 30): Certificate {
      openssl(
        ...['req', '-x509', ...key(name), '-out', path(`${name}.pem`), '-days', `${days}`, '-subj', `/CN=${name}`],
        ...['-addext', `subjectAltName=${alternative}`],
      );
      return read(name);
    },
    signed(name: string, by: string, alternative = 'DNS:localhost,IP:127.0.0.1', days = 30): Certificate {
      openssl('req', '-new', ...key(name), '-out', path(`${name}.csr`), '-subj', `/CN=${name}`);
      writeFileSync(path(`${name}.ext`), `subjectAltName=${alternative}\n`);
      openssl(
        ...['x509', '-req', '-in', path(`${name}.csr`), '-CA', path(`${by}.pem`), '-CAkey', path(`${by}.key`)],
        ...['-CAcreateserial', '-days', `${days}`, '-out', path(`${name}.pem`), '-extfile', path(`${name}.ext`)],
      );
      return read(name);
    },
  };
}
