// What can be wrong with a TLS connection, and what to do about it.
import type { TLSSocket } from 'node:tls';
import { CaptureError } from '../errors/errors.js';
import type { MethodName } from '../generated/options.js';

/** The other end of a connection, as messages show it. */
export interface TlsPeer {
  readonly uri: string;
  readonly backend: MethodName | undefined;
  /** Its name or address: what its certificate has to be for, unless `serverName` is given. */
  readonly host: string;
}

/** A fault of the connection's encryption. */
export function tlsFault({ uri, backend, host }: TlsPeer, what: string, hint?: string, cause?: unknown): CaptureError {
  return new CaptureError('RINGTAP_REMOTE_TLS', `${uri}: TLS with ${host}: ${what}`, { uri, backend, hint, cause });
}

/** SHA-256 of a certificate as `openssl x509 -fingerprint` prints it; undefined where the other end showed none. */
export function fingerprintOf(socket: TLSSocket): string | undefined {
  return socket.getPeerX509Certificate()?.fingerprint256;
}

/** Digits alone, as they are compared. */
export function plainPin(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}

const pinning = (fingerprint: string | undefined) =>
  fingerprint === undefined
    ? ''
    : `If this is the one that you expect, pin it: tls: { fingerprint: '${fingerprint}' }, --tls-fingerprint on the command line.`;

/** What OpenSSL or the check of the name found wrong with a certificate: in words, and what to do. */
export function certificateFault(code: string, fingerprint: string | undefined): { what: string; hint: string } {
  const pin = pinning(fingerprint);
  switch (code) {
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return { what: 'its certificate is self-signed, and nobody vouches for it', hint: pin };
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return {
        what: 'its certificate is signed by somebody who is not trusted here',
        hint: `Give the certificate of who signed it: tls: { ca }, --tls-ca. ${pin}`,
      };
    case 'CERT_HAS_EXPIRED':
      return { what: 'its certificate has expired', hint: `Renew it there. ${pin}` };
    case 'CERT_NOT_YET_VALID':
      return { what: 'its certificate is not valid yet', hint: 'Compare the clocks of the two hosts.' };
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return {
        what: 'its certificate is for another name',
        hint: `Use the name in the certificate, or say which one it is: tls: { serverName }, --tls-server-name. ${pin}`,
      };
    default:
      return { what: `its certificate is refused (${code})`, hint: pin };
  }
}

/** What broke a handshake. */
export function handshakeFault(
  error: NodeJS.ErrnoException & { readonly reason?: string },
  backend: MethodName | undefined,
): { what: string; hint: string | undefined } {
  const { code = '', message, reason = message } = error;
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return {
      what: 'the connection was closed in the handshake',
      hint: `The other end may speak no TLS (${withoutTls(backend)}), or refuse us: its log says why.`,
    };
  }
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNEXPECTED_MESSAGE|RECORD_TOO/.test(code)) {
    return { what: 'the other end speaks no TLS', hint: `Without it: ${withoutTls(backend)}. Or switch it on there.` };
  }
  if (/CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|PEER_DID_NOT_RETURN/.test(code)) {
    const ours = 'tls: { cert, key }, --tls-cert and --tls-key';
    // WHY: this alert is also what a daemon without TLS answers, libpcap's and ours.
    return backend === 'rpcap' && code.includes('HANDSHAKE_FAILURE')
      ? {
          what: 'it refuses the handshake',
          hint: `A daemon without TLS answers so: ${withoutTls(backend)}, or start it with TLS (rpcapd -S). One with TLS may ask for a certificate of ours: ${ours}.`,
        }
      : { what: `the handshake failed (${reason})`, hint: `It may ask for a certificate of ours: ${ours}.` };
  }
  return { what: `the handshake failed (${reason})`, hint: undefined };
}

/** How to do without. */
export function withoutTls(backend: MethodName | undefined): string {
  return backend === 'rpcap' ? 'rpcap:// in place of rpcaps://' : 'leave out tls';
}
