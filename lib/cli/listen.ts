import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { printable } from '../errors/printable.js';
import { withoutSuffixes } from '../generated/trace_names.js';
import {
  type Batch,
  type Capture,
  type Listener,
  listen,
  openWriter,
  type Writer,
  type WriterOptions,
} from '../index.js';
import { authFor } from './auth.js';
import { say, tell, UsageError } from './errors.js';
import { counted, integer } from './format.js';
import { addHelp } from './help.js';
import { addOpenOptions, type OpenFlags, openOptions, parseCount, parseDuration } from './options.js';
import { print } from './output.js';
import { addPrintOptions, type Lines, linesOf, type PrintFlags } from './print/options.js';
import { addRotateOptions, type RotateFlags, rotateOptions } from './rotate.js';
import { onSignal } from './run.js';

interface ListenFlags extends OpenFlags, PrintFlags, RotateFlags {
  interface?: string;
  allow?: readonly string[];
  filter?: string;
  write?: string;
  count?: number;
  duration?: number;
  quiet?: true;
}

export function addListen(program: Command): void {
  const command = program
    .command('listen')
    .usage('[options] <uri> [filter...]')
    .argument(
      '<uri>',
      'rpcap://ADDRESS[:PORT], an address of this host (0.0.0.0: all; port 2003), or tcp-listen://ADDRESS:PORT',
    )
    .argument('[filter...]', 'only packets that this pcap-filter(7) expression matches (ringtap help filters)')
    .description(
      'wait for daemons (rpcapd -a HOST) or senders of traces that connect, and print or write what comes from each',
    )
    .option(
      '-i, --interface <name>',
      'what to capture from at each daemon, instead of the interface that it comes from',
    )
    .option('-f, --filter <expression>', 'the filter as one word')
    .option('--allow <address>', 'who may connect: an address, or a network such as 10.0.0.0/8; repeatable', collect)
    .option('-w, --write <file>', 'a trace for each: %h in its name is the host, %p its port, %i the interface')
    .option('-c, --count <packets>', 'stop after so many', parseCount)
    .option('--duration <time>', 'stop after this time, such as 10s, 500ms or 2m', parseDuration)
    .option('-q, --quiet', 'say nothing of those who come and go, and print no packets');
  addHelp(addPrintOptions(addOpenOptions(addRotateOptions(command))), {
    examples: [
      "ringtap listen rpcap://0.0.0.0:2003 -w '%h-%i.pcapng'",
      "ringtap listen tcp-listen://0.0.0.0:57012 --tls-cert cert.pem --tls-key key.pem -w '%h-%p.pcapng'",
      'ringtap listen rpcap://0.0.0.0 --allow 10.0.0.0/8 udp port 53',
      "ringtap listen 'rpcap://[::]:2003?transport=udp' -i eth0 -q -w '%h.pcapng.zst'",
    ],
    notes: [
      'Who comes back is written to another file: NAME-2.pcapng, NAME-3.pcapng, ….',
      'SIGINT (Ctrl-C), SIGTERM and SIGHUP end it in good order, a second one at once.',
    ],
  }).action((uri: string, words: string[], flags: ListenFlags) => run(uri, words, flags));
}

const collect = (text: string, previous: readonly string[] = []): readonly string[] => [...previous, text];

async function run(uri: string, words: readonly string[], flags: ListenFlags): Promise<void> {
  if (flags.filter !== undefined && words.length > 0) {
    throw new UsageError(
      `there are two filters: -f "${flags.filter}", and "${words.join(' ')}"`,
      'Write one, with "and".',
    );
  }
  if (flags.write === '-') throw new UsageError('-w names a file for each who connects, such as %h-%i.pcapng');
  const filter = flags.filter ?? (words.length === 0 ? undefined : words.join(' '));
  const writing = rotateOptions(flags);
  if (writing.rotate !== undefined && flags.write === undefined) {
    throw new UsageError('files that follow each other (-C, -G, -b) need a name: -w FILE');
  }
  const lines = linesOf(flags, true);
  const listener = await listen(uri, {
    ...authFor(uri),
    ...openOptions(flags, filter),
    allow: flags.allow,
    interface: flags.interface,
  });
  const all = new All(listener, flags, writing, lines);
  onSignal(() => all.stop());
  const timer = flags.duration === undefined ? undefined : setTimeout(() => all.stop(), flags.duration);
  if (!flags.quiet) say(`listening at port ${listener.port}`);
  const following = new Set<Promise<void>>();
  for await (const capture of listener) {
    const follow = all.follow(capture).finally(() => following.delete(follow));
    following.add(follow);
  }
  await Promise.all(following);
  clearTimeout(timer);
  all.summarize();
}

/** Everybody who came: what is done with their packets, and the account. */
class All {
  readonly #listener: Listener;
  readonly #flags: ListenFlags;
  readonly #writing: WriterOptions;
  readonly #lines: (capture: Capture) => Lines;
  /** How to end the wait of each. */
  readonly #waiting = new Set<() => void>();
  /** Of traces, also of those that are not there yet. */
  readonly #names = new Set<string>();
  #isStopping = false;
  #packets = 0;
  #dropped = 0;
  #failures = 0;

  constructor(listener: Listener, flags: ListenFlags, writing: WriterOptions, lines: (capture: Capture) => Lines) {
    this.#listener = listener;
    this.#flags = flags;
    this.#writing = writing;
    this.#lines = lines;
  }

  stop(): void {
    this.#isStopping = true;
    void this.#listener.close();
    for (const end of this.#waiting) end();
  }

  /** Until it ends, which is nothing that ends the others. */
  async follow(capture: Capture): Promise<void> {
    const { write, quiet } = this.#flags;
    // WHY: a daemon's interface has any name it likes, lines of ours among them.
    const who = printable(capture.plan.target);
    let packets = 0;
    let writer: Writer | undefined;
    try {
      const name = write === undefined ? undefined : freeName(write, capture, this.#names);
      writer = name === undefined ? undefined : await openTrace(name, this.#writing, capture);
      if (!quiet) say(`${who}: capturing${name === undefined ? '' : `, into ${name}`}`);
      const printer = writer === undefined && !quiet ? this.#lines(capture) : undefined;
      const batches = capture[Symbol.asyncIterator]();
      const end = () => void batches.return?.();
      while (!this.#isStopping) {
        this.#waiting.add(end);
        const { value: batch } = await batches.next();
        this.#waiting.delete(end);
        if (batch === undefined) break;
        packets += await this.#take(batch, writer, printer);
      }
      await batches.return?.();
    } catch (error) {
      if (!quiet || writer !== undefined) say(error instanceof Error ? error.message : String(error));
      this.#failures++;
    }
    const stats = capture.stats();
    this.#dropped += stats.dropped;
    await writer?.close(stats).catch((error: Error) => say(printable(error.message)));
    await capture.close();
    if (!quiet) say(`${who}: ${counted(packets, 'packet')} captured, ${integer(stats.dropped)} dropped`);
  }

  summarize(): void {
    const { captures, refused, failed } = this.#listener.stats();
    const ended = this.#failures === 0 ? '' : `, ${integer(this.#failures)} of them cut off`;
    tell(`${counted(this.#packets, 'packet')} captured from ${counted(captures, 'connection')}${ended}`);
    tell(`${counted(this.#dropped, 'packet')} dropped`);
    if (refused + failed > 0) tell(`${counted(refused, 'connection')} refused, ${integer(failed)} failed`);
  }

  async #take(batch: Batch, writer: Writer | undefined, printer: Lines | undefined): Promise<number> {
    const { count = Number.POSITIVE_INFINITY } = this.#flags;
    const taken = Math.max(0, Math.min(batch.length, count - this.#packets));
    this.#packets += taken;
    if (this.#packets >= count) this.stop();
    if (taken === 0) return 0;
    const select = taken < batch.length ? Array.from({ length: taken }, (_, i) => i) : undefined;
    if (writer !== undefined) await writer.write(batch, { select });
    else if (printer !== undefined) await print(printer.lines(batch, taken));
    return taken;
  }
}

/** The name of a capture's trace, of which there is none yet. */
function freeName(pattern: string, capture: Capture, names: Set<string>): string {
  const wanted = nameOf(pattern, capture);
  const { stem, suffixes } = withoutSuffixes(wanted);
  let name = wanted;
  for (let number = 2; names.has(name) || existsSync(name); number++) name = `${stem}-${number}${suffixes}`;
  names.add(name);
  return name;
}

/** WHY changed: a daemon's interface has any name it likes. */
function nameOf(pattern: string, { peer }: Capture): string {
  const plain = (text: string) => text.replace(/[^\w.:-]/g, '_').replace(/^\.+/, '_');
  return pattern
    .replaceAll('%h', plain(peer?.address ?? 'unknown'))
    .replaceAll('%p', String(peer?.port ?? 0))
    .replaceAll('%i', plain(peer?.interface || 'unknown'));
}

function openTrace(name: string, options: WriterOptions, capture: Capture): Promise<Writer> {
  const { linkType, peer, plan } = capture;
  const isNg = /\.(pcapng|ntar)(\.\w+)?$/i.test(name);
  if (!isNg) return openWriter(`pcap:${name}`, { ...options, linkType });
  const described = { name: peer?.interface || plan.target, description: `${plan.backend}, ${peer?.address}` };
  return openWriter(`pcapng:${name}`, { ...options, linkType, interface: described });
}
