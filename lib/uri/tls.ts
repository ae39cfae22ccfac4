// The option `tls`: what is read and checked before anything is opened. What it is used for is in lib/tls.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { nearestName } from './nearest.js';
import { bad } from './options.js';
import { faultIn, type ParsedUri } from './uri.js';
import { guarded } from './values.js';

/** `tls` after its check. */
export interface TlsSettings {
  /** PEM, each with one certificate or several; nothing: what Node.js trusts. */
  readonly ca: readonly string[] | undefined;
  /** PEM. Both or none. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly passphrase: string | undefined;
  /** SHA-256 of a certificate in small letters without colons; none: any that is trusted. */
  readonly fingerprints: readonly string[];
  readonly insecure: boolean;
  readonly serverName: string | undefined;
}

/** More is no certificate, nor a bundle of those of a system. */
const MOST_PEM = 16 << 20;
const MOST_PINS = 64;
const NAMES = ['ca', 'cert', 'key', 'passphrase', 'fingerprint', 'insecure', 'serverName'];
const PEM_HINT = 'Give what the file holds, not its name: readFileSync(path).';

type At = Pick<ParsedUri, 'uri'>;

/**
 * TLS as it was asked for: `true`, or an object; in a URI, where everybody reads it, nothing but true or false. No
 * message quotes a key or a passphrase.
 * @returns undefined where none is wanted
 */
export function checkTls(at: At, value: unknown): TlsSettings | undefined {
  if (value === false || value === 'false' || value === undefined) return undefined;
  if (value === true || value === 'true') return read(at, {});
  return guarded(at, 'tls', () => checkObject(at, value));
}

function checkObject(at: At, value: unknown): TlsSettings {
  if (typeof value === 'object' && value !== null && !isList(value)) return read(at, value);
  const hint = 'In a URI it is tls=true; certificates go into the options object: { tls: { ca, fingerprint, … } }.';
  throw bad(at, 'tls', 'must be true, false or an object', hint);
}

function isList(value: object): boolean {
  try {
    return Array.isArray(value);
  } catch {
    return false; // it cannot be looked at, which ownOf() tells
  }
}

function ownOf(at: At, value: object): Readonly<Record<string, unknown>> {
  try {
    return Object.assign(Object.create(null), value);
  } catch (cause) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `${at.uri}: option tls cannot be read`, { uri: at.uri, cause });
  }
}

function read(at: At, value: object): TlsSettings {
  const own = ownOf(at, value);
  for (const name of Object.keys(own)) {
    if (NAMES.includes(name)) continue;
    const near = nearestName(name, NAMES);
    const guess = near === undefined ? '' : `Did you mean "${near}"? `;
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `${at.uri}: tls has no "${name}"`, {
      uri: at.uri,
      hint: `${guess}It has ${NAMES.join(', ')}.`,
    });
  }
  const settings: TlsSettings = {
    ca: authorities(at, own.ca),
    ...identity(at, own),
    fingerprints: pins(at, own.fingerprint),
    insecure: insecure(at, own.insecure),
    serverName: serverName(at, own.serverName),
  };
  const checks = settings.fingerprints.length > 0 ? 'fingerprint' : settings.ca === undefined ? undefined : 'ca';
  if (settings.insecure && checks !== undefined) {
    throw bad(at, 'tls.insecure', `accepts every certificate, ${checks} does not`, 'Give one of the two.');
  }
  return settings;
}

function authorities(at: At, value: unknown): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const given = Array.isArray(value) ? Array.from(value) : [value];
  if (given.length === 0) throw bad(at, 'tls.ca', 'names nobody', 'Leave it out for those that Node.js trusts.');
  return given.map((one) => {
    const text = pem(at, 'ca', one);
    certificate(at, 'ca', text);
    return text;
  });
}

function identity(at: At, own: Readonly<Record<string, unknown>>): Pick<TlsSettings, 'cert' | 'key' | 'passphrase'> {
  const { cert: certText, key: keyText, passphrase } = own;
  if (passphrase !== undefined && typeof passphrase !== 'string') throw bad(at, 'tls.passphrase', 'must be a string');
  if (certText === undefined && keyText === undefined) {
    return { cert: undefined, key: undefined, passphrase: undefined };
  }
  if (certText === undefined || keyText === undefined) {
    const [has, lacks] = certText === undefined ? ['key', 'cert'] : ['cert', 'key'];
    throw bad(at, `tls.${has}`, `needs tls.${lacks}, too`, 'A certificate and its private key go together.');
  }
  const cert = pem(at, 'cert', certText);
  const own509 = certificate(at, 'cert', cert);
  const key = pem(at, 'key', keyText);
  if (!own509.checkPrivateKey(privateKey(at, key, passphrase))) {
    throw bad(at, 'tls.key', 'is not the key of tls.cert', 'Give the key that the certificate was made with.');
  }
  return { cert, key, passphrase };
}

function pem(at: At, name: string, value: unknown): string {
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
    throw bad(at, `tls.${name}`, 'must be PEM: a string or a Uint8Array', PEM_HINT);
  }
  if (value.length > MOST_PEM) throw bad(at, `tls.${name}`, `may have ${MOST_PEM} bytes, not ${value.length}`);
  return typeof value === 'string' ? value : Buffer.from(value).toString('latin1');
}

function certificate(at: At, name: string, text: string): X509Certificate {
  if (!text.includes('-----BEGIN ')) throw bad(at, `tls.${name}`, 'is no PEM', PEM_HINT);
  try {
    return new X509Certificate(text);
  } catch (cause) {
    throw bad(at, `tls.${name}`, `holds no certificate: ${reason(cause)}`, PEM_HINT);
  }
}

function privateKey(at: At, key: string, passphrase: string | undefined): ReturnType<typeof createPrivateKey> {
  if (!key.includes('-----BEGIN ')) throw bad(at, 'tls.key', 'is no PEM', PEM_HINT);
  try {
    return createPrivateKey(passphrase === undefined ? key : { key, passphrase });
  } catch (cause) {
    const hint = /passphrase|decrypt|empty/i.test(reason(cause))
      ? 'It is encrypted: give its passphrase, too, and the right one.'
      : 'Make it anew, or convert it: openssl pkey -in key.pem.';
    throw bad(at, 'tls.key', `cannot be read: ${reason(cause)}`, hint);
  }
}

/** OpenSSL's words without its numbers. */
function reason(cause: unknown): string {
  return String((cause as Error | undefined)?.message ?? cause).replace(/^error:[0-9A-F]+:/i, '');
}

const PIN_HINT = 'Print it: openssl x509 -in cert.pem -noout -fingerprint -sha256';

function pins(at: At, value: unknown): readonly string[] {
  if (value === undefined) return [];
  const given = Array.isArray(value) ? Array.from(value) : [value];
  if (given.length === 0 || given.length > MOST_PINS) {
    throw bad(at, 'tls.fingerprint', `must be one, or a list of 1 to ${MOST_PINS}`, PIN_HINT);
  }
  return given.map((one) => {
    const digits = typeof one === 'string' ? one.replace(/^sha-?256[:=]|:/gi, '').toLowerCase() : '';
    if (/^[0-9a-f]{64}$/.test(digits)) return digits;
    throw bad(at, 'tls.fingerprint', `must be a SHA-256 of 64 hexadecimal digits, not ${show(one)}`, PIN_HINT);
  });
}

function insecure(at: At, value: unknown): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  throw bad(at, 'tls.insecure', `must be true or false, not ${show(value)}`);
}

function serverName(at: At, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value !== '' && value.length <= 255 && faultIn(value) === undefined) return value;
  throw bad(at, 'tls.serverName', `must be the name in the certificate, not ${show(value)}`);
}
