import { existsSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { closest } from 'fastest-levenshtein';
import { CaptureError } from './errors.js';
import { BACKENDS, type BackendName, type BackendSchema } from './generated/schema.js';

/** A URI taken apart. Nothing is validated but its form. */
export interface ParsedUri {
  /** As the caller wrote it. */
  readonly uri: string;
  /** A backend's name, `auto`, or a scheme that ringtap knows but this build lacks. */
  readonly scheme: BackendName | 'auto' | ReservedScheme;
  /** What follows the scheme: an interface, a path … */
  readonly target: string;
  /** Query parameters, decoded, in the order given. */
  readonly params: ReadonlyMap<string, string>;
}

/** Schemes with a fixed meaning whose backends are not part of this build. */
export const RESERVED = {
  rpcap: { aliases: [], fallback: [] },
} as const satisfies Record<string, { aliases: readonly string[]; fallback: readonly BackendName[] }>;

export type ReservedScheme = keyof typeof RESERVED;

const schemes = new Map<string, ParsedUri['scheme']>([['auto', 'auto']]);
for (const [name, { aliases }] of Object.entries(RESERVED)) {
  for (const alias of [name, ...aliases]) schemes.set(alias, name as ReservedScheme);
}
for (const { name, aliases } of BACKENDS) {
  for (const alias of [name, ...aliases]) schemes.set(alias, name);
}

/** The schema of a backend. */
export function schemaOf(name: string): BackendSchema | undefined {
  return BACKENDS.find((backend) => backend.name === name);
}

/** Takes a URI apart. `RINGTAP_BAD_URI` or `RINGTAP_UNKNOWN_SCHEME` when it has no meaning. */
export function parseUri(uri: string): ParsedUri {
  if (typeof uri !== 'string' || uri === '') {
    throw new CaptureError(
      'RINGTAP_BAD_URI',
      `a capture URI is a string such as afpacket:eth0, not ${JSON.stringify(uri)}`,
    );
  }
  if (uri.includes('\0')) throw new CaptureError('RINGTAP_BAD_URI', `${JSON.stringify(uri)} contains a NUL`, { uri });
  const match = /^([A-Za-z][A-Za-z0-9+.-]+):(.*)$/s.exec(uri);
  if (match === null || match[1] === undefined || match[2] === undefined) return parseBare(uri);
  const scheme = schemes.get(match[1].toLowerCase());
  if (scheme === undefined) {
    if (existsSync(uri)) return { uri, scheme: 'file', target: uri, params: new Map() };
    const near = closest(match[1].toLowerCase(), [...schemes.keys()]);
    throw new CaptureError('RINGTAP_UNKNOWN_SCHEME', `${uri}: there is no scheme "${match[1]}:"`, {
      uri,
      hint: `Did you mean "${near}:"? Known schemes: ${[...schemes.keys()].map((name) => `${name}:`).join(' ')}`,
    });
  }
  const [before, query] = split(match[2]);
  const target = decode(before.replace(/^\/\/(?=[^/])/, ''), uri);
  const wants = schemaOf(scheme)?.target ?? (scheme === 'rpcap' ? 'device' : 'interface');
  if (target === '' && wants !== 'none') {
    throw new CaptureError(
      'RINGTAP_BAD_URI',
      `${uri}: after "${match[1]}:" ${wants === 'path' ? 'a path' : 'an interface'} is missing`,
      {
        uri,
      },
    );
  }
  if (target !== '' && wants === 'none') {
    throw new CaptureError(
      'RINGTAP_BAD_URI',
      `${uri}: after "${match[1]}:" comes nothing but ?option=value, not "${target}"`,
      { uri },
    );
  }
  const implied = schemaOf(scheme)?.aliasOptions[match[1].toLowerCase()] ?? {};
  return { uri, scheme, target, params: new Map([...Object.entries(implied), ...parseQuery(query, uri)]) };
}

function parseBare(uri: string): ParsedUri {
  const path = { uri, scheme: 'file', target: uri, params: new Map() } as const;
  // A folder is no trace: it may well be named after an interface.
  const isThere = statSync(uri, { throwIfNoEntry: false })?.isDirectory() === false;
  if (uri === '-' || uri.includes('/') || uri.includes('\\') || isThere) return path;
  const [target, query] = split(uri);
  // Something like trace.pcap that is neither a file nor an interface is a path that does not exist.
  if (/\.(pcap|pcapng|cap|erf|dmp|gz|zst|xz|lz4)$/i.test(target) && !(target in networkInterfaces())) return path;
  return { uri, scheme: 'auto', target, params: parseQuery(query, uri) };
}

function split(text: string): [string, string] {
  const at = text.indexOf('?');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

// WHY: not URLSearchParams, which reads "+" as a space: filters contain both.
function parseQuery(query: string, uri: string): Map<string, string> {
  const params = new Map<string, string>();
  for (const part of query.split('&')) {
    if (part === '') continue;
    const at = part.indexOf('=');
    const name = decode(at < 0 ? part : part.slice(0, at), uri);
    if (params.has(name)) throw new CaptureError('RINGTAP_BAD_URI', `${uri}: "${name}" is given twice`, { uri });
    params.set(name, at < 0 ? 'true' : decode(part.slice(at + 1), uri));
  }
  return params;
}

function decode(text: string, uri: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new CaptureError('RINGTAP_BAD_URI', `${uri}: "${text}" has a % that is not followed by two hex digits`, {
      uri,
      hint: 'Write a literal % as %25.',
    });
  }
}
