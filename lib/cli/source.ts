// What a command line captures from, and which packets: `eth0 udp port 53`, `-i eth0 udp port 53` and
// `eth0 -f 'udp port 53'` are the same.
import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Command } from 'commander';
import { BACKENDS } from '../generated/schema.js';
import { isTraceName } from '../generated/trace_names.js';
import { UsageError } from './errors.js';

/** What commander makes of the options that {@link addSource} adds. */
export interface SourceFlags {
  interface?: readonly string[];
  read?: string;
  filter?: string;
}

export interface Sources {
  readonly uris: readonly string[];
  readonly filter: string | undefined;
}

const SCHEMES = new Set(['auto', ...BACKENDS.flatMap(({ name, aliases }) => [name, ...aliases])]);

/** Adds what names the packets: first the URI, then, as tcpdump has it, words that make a filter. */
export function addSource(command: Command, several = ''): Command {
  const source = command
    .usage('[options] <uri> [filter...]')
    .argument('[uri]', 'an interface, a trace, or scheme:target?option=value (ringtap help uri)')
    .option('-i, --interface <uri>', `the URI; then all words are the filter${several}`, collect)
    .option('-r, --read <file>', 'a trace, instead of a URI; - is standard input', once);
  return addFilter(source);
}

/** The same for a command that reads traces only. */
export function addFile(command: Command): Command {
  const source = command
    .usage('[options] <file> [filter...]')
    .argument('[file]', 'a trace (pcap, pcapng, ERF); - is standard input')
    .option('-r, --read <file>', 'the file; then all words are the filter', once);
  return addFilter(source);
}

function addFilter(command: Command): Command {
  return command
    .argument('[filter...]', 'only packets that this pcap-filter(7) expression matches (ringtap help filters)')
    .option('-f, --filter <expression>', 'the filter as one word');
}

function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}

/** Several traces are one URI, which says how they are read as one. */
function once(value: string, previous?: string): string {
  if (previous === undefined) return value;
  throw new UsageError(
    `-r names one trace, not ${previous} and ${value}`,
    `Several, as one: -r file:${previous},${value}`,
  );
}

/** The words of a command line, as commander hands them over. */
export function wordsOf(first: string | undefined, words: readonly string[]): string[] {
  return first === undefined ? [] : [first, ...words];
}

/** Finds out what is meant. @param words those that are no options @param command its name, for messages */
export function sourcesOf(command: string, words: readonly string[], flags: SourceFlags): Sources {
  const { interface: named = [], read, filter } = flags;
  if (read !== undefined && named.length > 0) {
    throw new UsageError('-i captures, and -r reads a trace: give one of them');
  }
  const given = read === undefined ? named : [fileUri(read)];
  // Where several can be, they may follow each other: what comes behind them is the filter.
  const other = words.findIndex((word, i) => i > 0 && !(command === 'capture' && isSource(word)));
  const sources = other < 0 ? words.length : other;
  const uris = given.length > 0 ? given : words.slice(0, sources);
  const rest = given.length > 0 ? words : words.slice(sources);
  if (uris.length === 0) {
    if (command === 'read') throw new UsageError('read: a file is missing', 'For example: ringtap read trace.pcap');
    throw new UsageError(
      `${command}: a URI is missing`,
      `For example: ringtap ${command} eth0; \`ringtap list\` shows what there is.`,
    );
  }
  const [first] = rest;
  if (first !== undefined && isTrace(first)) {
    throw new UsageError(
      `"${first}" is no filter, but a trace; ${uris[0]} is read already`,
      `Several, as one: ringtap ${command} ${several(uris[0]!, first)}`,
    );
  }
  if (first !== undefined && isSource(first)) {
    const each = `ringtap ${command} ${[...uris, first].map((uri) => `-i ${uri}`).join(' ')}`;
    const hint = command === 'capture' ? `For several: ${each}` : 'One at a time; `capture` takes several.';
    throw new UsageError(`"${first}" is no filter, but what can be captured from; that is ${uris[0]} already`, hint);
  }
  if (filter !== undefined && first !== undefined) {
    throw new UsageError(`there are two filters: -f "${filter}", and "${rest.join(' ')}"`, 'Write one, with "and".');
  }
  return { uris, filter: filter ?? (first === undefined ? undefined : rest.join(' ')) };
}

/** The same for commands that take one. */
export function sourceOf(
  command: string,
  words: readonly string[],
  flags: SourceFlags,
): { uri: string; filter: string | undefined } {
  const { uris, filter } = sourcesOf(command, words, flags);
  if (uris.length > 1) {
    throw new UsageError(`${command} takes one URI, not ${uris.join(' and ')}`, '`ringtap capture` takes several.');
  }
  return { uri: uris[0]!, filter };
}

/** Whether a word where a filter begins is something else: no filter begins with a scheme, or with an interface's name. */
function isSource(word: string): boolean {
  const scheme = /^([a-z]\w*):/i.exec(word)?.[1]?.toLowerCase();
  return (scheme !== undefined && SCHEMES.has(scheme)) || isInterface(word);
}

/** Whether it can only be a trace. WHY by the name, too: a misspelt one is as little a filter. */
function isTrace(word: string): boolean {
  if (isTraceName(word)) return true;
  return word.includes('/') && !/\s/.test(word) && existsSync(word);
}

/** Two traces as the URI that reads them as one. */
function several(first: string, second: string): string {
  return `${first.replace(/^(?!\w+:)/, 'file:')},${second}`;
}

const NAMES = '/proc/self/net/dev';

/** Two lines of titles, then "  eth0: 1234 …". */
const namesIn = (text: string) => text.split('\n').map((line) => line.slice(0, line.lastIndexOf(':')).trim());

function isInterface(name: string): boolean {
  try {
    // WHY not /sys, which may show those of another network namespace; nor only what has an address.
    if (existsSync(NAMES)) return namesIn(readFileSync(NAMES, 'latin1')).includes(name);
    return Object.hasOwn(networkInterfaces(), name);
  } catch {
    return false; // a sandbox refuses netlink
  }
}

/** A path stands for itself, even where it looks like an interface; a file: URI is taken, too. */
export function fileUri(file: string): string {
  if (/^(file|pcapfile|erf):/i.test(file) && !existsSync(file)) return file;
  // Two slashes at the start of a path are one, but at the start of a URI's target they stand for nothing.
  return `file:${file.replace(/[%?#]|(?<=^\/)\//g, encodeURIComponent)}`;
}
