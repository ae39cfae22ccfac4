import type { Command } from 'commander';
import { printable } from '../errors/printable.js';
import { type Device, devices, type ProbeResult, probe } from '../index.js';
import { authFileOption, authFor, authFromFile } from './auth.js';
import { addHelp } from './help.js';
import { printJson, printText } from './output.js';
import { columns, entry, wrap } from './text.js';
import { addTlsOptions, type TlsFlags, tlsFrom } from './tls.js';

/** A device, and which of its URIs cannot be opened with the rights or on the host that there are. */
interface Listed extends Device {
  readonly unusable: readonly Unusable[];
}

interface ListFlags extends TlsFlags {
  readonly json?: true;
  readonly authFile?: string;
}

interface Unusable {
  readonly uri: string;
  readonly reason: string;
  readonly hint: string | undefined;
}

/** The name's column is no wider than this. */
const WIDEST_NAME = 16;

export function addList(program: Command): void {
  addHelp(
    addTlsOptions(program.command('list'))
      .description('list what can be captured here, or at a daemon on another host, with ready-to-use URIs')
      .argument('[uri]', 'the daemon: rpcap://host or rpcap://host:port, rpcaps:// with TLS')
      .addOption(authFileOption())
      .option('--json', 'print JSON'),
    {
      examples: ['ringtap list', 'ringtap list rpcap://sensor1', "ringtap list --json | jq -r '.[].uris[0]'"],
      notes: ['A URI in parentheses cannot be opened as things are: below stands why.'],
    },
  ).action(list);
}

export async function list(uri: string | undefined, flags: ListFlags): Promise<void> {
  const { json, authFile } = flags;
  // WHY the environment for one scheme only: a plain rpcap:// goes on as it was, whatever is set there.
  const tls = tlsFrom(flags, /^rpcaps:/i.test(uri ?? ''));
  const options = { ...authFor(uri ?? ''), ...authFromFile(authFile), ...tls };
  const found = mark(uri === undefined ? await devices() : await devices(uri as 'rpcap:', options), await probe());
  await (json ? printJson(found, 2) : printText(describe(found, columns(), uri)));
}

function mark(found: readonly Device[], probes: readonly ProbeResult[]): Listed[] {
  const missing = new Map(probes.filter(({ available }) => !available).map((one) => [one.backend as string, one]));
  return found.map((device) => {
    const unusable = device.uris.flatMap((uri) => {
      const why = missing.get(uri.slice(0, uri.indexOf(':')));
      return why === undefined ? [] : [{ uri, reason: why.reason ?? 'not available', hint: why.hint }];
    });
    return { ...device, unusable };
  });
}

function describe(found: readonly Listed[], width: number, daemon: string | undefined): string {
  // WHY of this host only: a daemon offers what it lists, and nothing else.
  if (daemon !== undefined && found.length === 0) return `${printable(daemon)} offers nothing to capture from.\n`;
  const also = entry('also', 6, 'file:trace.pcapng (pcap, pcapng, ERF; - is standard input), synth:?count=1000', width);
  if (found.length === 0) return `No device can be captured from here: see ringtap doctor.\n${also}\n`;
  const longest = Math.max(...found.map(({ name }) => printable(name).length));
  const indent = Math.min(longest, WIDEST_NAME) + 2;
  const text = found.map((device) => describeDevice(device, indent, width)).join('\n');
  if (daemon !== undefined) return `${text}\n`;
  return `${text}\n\n${also}\n${describeUnusable(found, width)}`;
}

function describeDevice(
  { name, description, up, loopback, addresses, uris, unusable }: Listed,
  indent: number,
  width: number,
): string {
  const state = [up ? 'up' : 'down', ...(loopback ? ['loopback'] : [])].join(', ');
  const words = description === '' || description === name ? '' : `: ${description}`;
  const blocked = new Set(unusable.map(({ uri }) => uri));
  const shown = uris.map((uri) => printable(blocked.has(uri) ? `(${uri})` : uri));
  const rest = width - indent;
  const first = wrap(printable(`${state}${words}`).split(' '), rest);
  const lines = [...first, ...wrap(addresses, rest, '  '), ...wrap(shown, rest, '  ')];
  return entry(printable(name), indent, lines.join('\n'), Number.POSITIVE_INFINITY);
}

/** Why some URIs are in parentheses: once for each method. */
function describeUnusable(found: readonly Listed[], width: number): string {
  const reasons = new Map<string, Unusable>();
  for (const one of found.flatMap(({ unusable }) => unusable)) reasons.set(one.uri.replace(/:.*/s, ':'), one);
  if (reasons.size === 0) return '';
  const lines = [...reasons].map(([scheme, { reason, hint }]) => {
    const why = entry(`  (${scheme})`, 14, reason, width);
    return hint === undefined ? why : `${why}\n      hint: ${hint}`;
  });
  return `\nNot as things are, in parentheses:\n${lines.join('\n')}\n`;
}
