import { existsSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { BackendName } from '../generated/options.js';
import { BACKENDS, type BackendSchema } from '../generated/schema.js';
import { isTraceName } from '../generated/trace_names.js';
import { nearestName } from './nearest.js';

/** A URI taken apart. Nothing is validated but its form. */
export interface ParsedUri {
  /** As the caller wrote it. */
  readonly uri: string;
  /** A backend's name, or `auto`. */
  readonly scheme: BackendName | 'auto';
  /** What follows the scheme: an interface, a path … */
  readonly target: string;
  /** Query parameters, decoded, in the order given. */
  readonly params: ReadonlyMap<string, string>;
}

const schemes = new Map<string, ParsedUri['scheme']>([['auto', 'auto']]);
for (const { name, aliases } of BACKENDS) {
  for (const alias of [name, ...aliases]) schemes.set(alias, name);
}

/** The schema of a backend. */
export function schemaOf(name: string): BackendSchema | undefined {
  return BACKENDS.find((backend) => backend.name === name);
}

const MISSING = { path: 'a path', host: 'a host', device: 'an interface', interface: 'an interface' };

/** Characters of a URI; an option that needs more goes into the options object. */
const MOST_URI = 1 << 19;
/** Bytes of a target, as the kernel takes of a path. */
const MOST_TARGET = 4096;

/** Takes a URI apart. `RINGTAP_BAD_URI` or `RINGTAP_UNKNOWN_SCHEME` when it has no meaning. */
export function parseUri(uri: string): ParsedUri {
  if (typeof uri !== 'string' || uri === '') {
    throw new CaptureError('RINGTAP_BAD_URI', `a capture URI is a string such as afpacket:eth0, not ${show(uri)}`);
  }
  if (uri.length > MOST_URI) throw badUri(uri, `a URI may have ${MOST_URI} characters, not ${uri.length}`);
  const parsed = parseText(uri);
  // A list of paths may be as long as the URI is.
  const parts = parsed.scheme === 'file' ? parsed.target.split(',') : [parsed.target];
  const bytes = parts.reduce((most, part) => Math.max(most, Buffer.byteLength(part)), 0);
  if (bytes > MOST_TARGET) throw badUri(uri, `what follows the scheme may have ${MOST_TARGET} bytes, not ${bytes}`);
  for (const text of [parsed.target, ...parsed.params.keys(), ...parsed.params.values()]) {
    const fault = faultIn(text);
    if (fault !== undefined) throw badUri(uri, fault);
  }
  return parsed;
}

/** The URI of what a method lists by this name: its target is the name, whatever stands in it. */
export function uriOf(scheme: string, target: string): string {
  return `${scheme}${scheme.endsWith('/') ? '' : ':'}${target.replace(/[%?\s\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|^\/(?=\/)/gu, encodeURIComponent)}`;
}

/** Why a text would not arrive as it is at the kernel or a library; undefined where it would. */
export function faultIn(text: string): string | undefined {
  if (text.includes('\0')) return 'it contains a NUL, at which the system would cut it off';
  return /\p{Cs}/u.test(text) ? 'it contains half of a surrogate pair, which is no character' : undefined;
}

function badUri(uri: string, what: string, hint?: string): CaptureError {
  return new CaptureError('RINGTAP_BAD_URI', `${uri}: ${what}`, { uri, hint });
}

function parseText(uri: string): ParsedUri {
  const match = /^([A-Za-z][A-Za-z0-9+.-]+):(.*)$/s.exec(uri);
  if (match === null || match[1] === undefined || match[2] === undefined) return parseBare(uri);
  const scheme = schemes.get(match[1].toLowerCase());
  if (scheme === undefined) {
    if (existsSync(uri)) return { uri, scheme: 'file', target: uri, params: new Map() };
    const near = nearestName(match[1], [...schemes.keys()]);
    const guess = near === undefined ? '' : `Did you mean "${near}:"? `;
    throw new CaptureError('RINGTAP_UNKNOWN_SCHEME', `${uri}: there is no scheme "${match[1]}:"`, {
      uri,
      hint: `${guess}Known schemes: ${[...schemes.keys()].map((name) => `${name}:`).join(' ')}`,
    });
  }
  const [before, query] = split(match[2]);
  const target = decode(before.replace(/^\/\/(?=[^/])/, ''), uri);
  const wants = schemaOf(scheme)?.target ?? 'interface';
  if (target === '' && wants !== 'none') {
    throw badUri(uri, `${MISSING[wants]} is missing after "${match[1]}:"`);
  }
  if (target !== '' && wants === 'none') {
    throw badUri(uri, `"${target}" cannot follow "${match[1]}:", but ?option=value can`);
  }
  const implied = schemaOf(scheme)?.aliasOptions[match[1].toLowerCase()] ?? {};
  return { uri, scheme, target, params: new Map([...Object.entries(implied), ...parseQuery(query, uri)]) };
}

function parseBare(uri: string): ParsedUri {
  const path = { uri, scheme: 'file', target: uri, params: new Map() } as const;
  if (uri === '-' || uri.includes('/') || uri.includes('\\') || isTrace(uri)) return path;
  const [target, query] = split(uri);
  // Something like trace.pcap that is neither a file nor an interface is a path that does not exist.
  if (isTraceName(target) && !Object.hasOwn(interfaceAddresses(), target)) return path;
  return { uri, scheme: 'auto', target, params: parseQuery(query, uri) };
}

/** Whether there is something to read by this name. A folder is no trace: it may well be named after an interface. */
function isTrace(name: string): boolean {
  try {
    return !statSync(name).isDirectory();
  } catch {
    return false;
  }
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
    if (params.has(name)) throw badUri(uri, `"${name}" is given twice`);
    params.set(name, at < 0 ? 'true' : decode(part.slice(at + 1), uri));
  }
  return params;
}

function decode(text: string, uri: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badUri(uri, `"${text}" has a % that begins no UTF-8 character`, 'Write a literal % as %25.');
  }
}

/** @internal The addresses of each interface; none where the system may not be asked (netlink refused by a sandbox). */
export function interfaceAddresses(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces();
  } catch {
    return {};
  }
}
