// TLS on the command line: certificates and keys are files, so that nothing of them is in the list of processes.
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { CaptureError } from '../errors/errors.js';
import type { TlsOptions } from '../index.js';
import { readSecret } from './secret.js';

/** What commander makes of the options that {@link addTlsOptions} adds. */
export interface TlsFlags {
  tls?: true;
  tlsCa?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsFingerprint?: string;
  tlsServerName?: string;
  tlsInsecure?: true;
}

/** The same in the environment, where no option is given: names of files, but for the last two. */
const VARIABLES = {
  tlsCa: 'RINGTAP_TLS_CA',
  tlsCert: 'RINGTAP_TLS_CERT',
  tlsKey: 'RINGTAP_TLS_KEY',
  tlsFingerprint: 'RINGTAP_TLS_FINGERPRINT',
} as const;
const PASSPHRASE = 'RINGTAP_TLS_PASSPHRASE';

export function addTlsOptions(command: Command): Command {
  return command
    .option('--tls', 'speak TLS with the other host')
    .option('--tls-ca <file>', `certificates of who is trusted to sign the other host's (${VARIABLES.tlsCa})`)
    .option('--tls-cert <file>', `our certificate (${VARIABLES.tlsCert})`)
    .option('--tls-key <file>', `its key (${VARIABLES.tlsKey}; ${PASSPHRASE} holds what it is encrypted with)`)
    .option(
      '--tls-fingerprint <sha256>',
      `accept the certificate that has it, and no other (${VARIABLES.tlsFingerprint})`,
    )
    .option('--tls-server-name <name>', "the name in the other host's certificate")
    .addOption(new Option('--tls-insecure', 'accept any certificate'));
}

/**
 * The option `tls` as it was asked for; nothing where it was not.
 * @param wanted whether the URI asks for TLS: then the environment is asked for what the options do not say
 */
export function tlsFrom(flags: TlsFlags, wanted: boolean): { readonly tls?: TlsOptions } {
  const names = Object.keys(VARIABLES) as (keyof typeof VARIABLES)[];
  const isGiven = flags.tls || flags.tlsInsecure || flags.tlsServerName || names.some((name) => flags[name]);
  if (!wanted && !isGiven) return {};
  const value = (name: keyof typeof VARIABLES) => flags[name] ?? process.env[VARIABLES[name]];
  const file = (name: keyof typeof VARIABLES) => {
    const path = value(name);
    if (path === undefined || path === '') return undefined;
    const where = flags[name] ? optionOf(name) : VARIABLES[name];
    return name === 'tlsKey' ? readSecret(path, where) : contents(path, where);
  };
  const pins = value('tlsFingerprint');
  return {
    tls: {
      ca: file('tlsCa'),
      cert: file('tlsCert'),
      key: file('tlsKey'),
      passphrase: process.env[PASSPHRASE],
      fingerprint: flags.tlsInsecure ? flags.tlsFingerprint : pins?.split(','),
      serverName: flags.tlsServerName,
      insecure: flags.tlsInsecure,
    },
  };
}

const optionOf = (name: string) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function contents(path: string, where: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new CaptureError('RINGTAP_FILE_OPEN', `${where}: ${what}`, { cause });
  }
}
