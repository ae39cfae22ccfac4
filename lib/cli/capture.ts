import { type BigIntStats, fstatSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import type { Command } from 'commander';
import {
  type Capture,
  CaptureError,
  openWriter,
  type Writer,
  type WriterInterface,
  type WriterOptions,
} from '../index.js';
import { say, UsageError } from './errors.js';
import { addHelp } from './help.js';
import { list } from './list.js';
import { addOpenOptions, type OpenFlags, openOptions, parseCount, parseDuration } from './options.js';
import { print } from './output.js';
import { addPrintOptions, type Lines, linesOf, type PrintFlags } from './print/options.js';
import { showRate } from './rate.js';
import { addRotateOptions, type RotateFlags, rotateOptions, watchFiles } from './rotate.js';
import { type Handle, Run } from './run.js';
import { announce, summarize, withCaptures } from './session.js';
import { addSource, type SourceFlags, sourcesOf, wordsOf } from './source.js';
import { addStorageOptions, type StorageFlags, storageOptions } from './storage.js';
import { tlsFrom } from './tls.js';
import { addCompress, type CompressFlags } from './trace/compress.js';
import { readTraceName } from './trace/trace-name.js';

interface CaptureFlags extends OpenFlags, PrintFlags, SourceFlags, RotateFlags, StorageFlags, CompressFlags {
  write?: string;
  count?: number;
  duration?: number;
  quiet?: true;
  packetBuffered?: true;
  lateness?: number;
  listDevices?: true;
}

const MOST_FILTER_BYTES = 1024;

export function addCapture(program: Command): void {
  const command = addSource(program.command('capture'), '; repeatable, to capture from several')
    .description('capture packets: print a line for each, or write them to a file')
    .option('-D, --list-devices', 'list what can be captured from, as `ringtap list` does')
    .option(
      '-w, --write <file>',
      'write a trace: pcapng or ERF if the name ends so, else pcap, and compressed with .zst, .lz4 or .gz behind it; - is standard output; tcp://host:port and tcp-listen://addr:port send it',
    )
    .option('-U, --packet-buffered', 'write packets as they come, not up to half a second later')
    .option(
      '--lateness <time>',
      'with several captures in one trace: how late a packet may come to be put in order of time (200ms)',
      parseDuration,
    )
    .option('-c, --count <packets>', 'stop after so many', parseCount)
    .option('--duration <time>', 'stop after this time, such as 10s, 500ms or 2m', parseDuration)
    .option('-q, --quiet', 'print no packets and no rates, only the summary at the end');
  addHelp(addPrintOptions(addOpenOptions(addStorageOptions(addRotateOptions(addCompress(command))))), {
    examples: [
      'ringtap capture eth0 -c 10',
      'ringtap capture eth0 udp port 53',
      'ringtap capture -ni eth0 -X tcp port 80 and host 192.0.2.1',
      'ringtap capture -i eth0 -i eth1 icmp',
      'ringtap capture afpacket:eth0 tcp port 443 -w trace.pcapng',
      'ringtap capture eth0 eth1 udp port 53 -w both.pcapng',
      'ringtap capture eth0 -w - | wireshark -k -i -',
      'ringtap capture eth0 --json | jq -r .src_ip',
      'ringtap capture eth0 --duration 10s -q',
      'ringtap capture eth0 -w trace.pcapng.zst --compress zstd:3',
      'ringtap capture eth0 -w ring.pcapng -b filesize:100000 -b files:10',
      'ringtap capture eth0 -w eth0-%Y%m%d-%H%M.pcap -G 3600',
      'ringtap capture eth0 -w "tcp://collector:57012?format=pcapng&reconnect=true"',
      'ringtap capture eth0 -w tcp-listen://127.0.0.1:57012 --overflow drop',
    ],
    notes: ['SIGINT (Ctrl-C), SIGTERM and SIGHUP end it in good order, a second one at once.'],
  }).action((uri: string | undefined, words: string[], flags: CaptureFlags) =>
    flags.listDevices ? list(undefined, {}) : capture(wordsOf(uri, words), flags),
  );
}

async function capture(words: string[], flags: CaptureFlags): Promise<void> {
  const { uris, filter } = sourcesOf('capture', words, flags);
  refuseContradictions(uris, flags);
  const writing = writerOptions(flags);
  // Where a trace leaves by a connection, TLS is about that.
  const reading = isConnection(flags.write)
    ? { ...openOptions(flags, filter), tls: undefined }
    : openOptions(flags, filter);
  const lines = linesOf(flags, uris.length > 1);
  await withCaptures(uris, reading, async (captures) => {
    const writer = flags.write === undefined ? undefined : await openTrace(flags.write, writing, captures, filter);
    const run = new Run(captures, { count: flags.count, durationMs: flags.duration });
    if (writer !== undefined && writing.rotate !== undefined) void watchFiles(writer, run, writing.rotate, flags.quiet);
    // Lines on the same terminal would tear it apart.
    const endRate = flags.quiet || (writer === undefined && process.stdout.isTTY) ? () => {} : showRate(captures, run);
    try {
      const running = run.handle(handler(captures, writer, run, flags.quiet ? undefined : lines));
      if (!flags.quiet) for (const { plan } of captures) announce(plan); // WHY: not sooner, as whoever sees it may send a signal
      await running;
      await writer?.close();
    } catch (error) {
      // `capture -w - | head`: as quiet as it is for lines.
      if (flags.write === '-' && error instanceof CaptureError && error.errno === constants.errno.EPIPE) return;
      // What was captured before the failure stays readable.
      await writer?.close().catch(() => {});
      throw error;
    } finally {
      endRate();
      // WHY these before the account: at its end a daemon is asked once more what it has sent.
      await Promise.all(captures.filter(({ backend }) => backend === 'rpcap').map((capture) => capture.close()));
      summarize(captures, run, writer);
    }
  });
}

function refuseContradictions(uris: readonly string[], flags: CaptureFlags): void {
  if (flags.write === '-' && process.stdout.isTTY) {
    throw new UsageError('a trace is not for a terminal: redirect standard output, or name a file');
  }
  if (flags.lateness !== undefined && (flags.write === undefined || uris.length === 1)) {
    throw new UsageError('--lateness is for a trace (-w) of several captures');
  }
  if (flags.write !== undefined && flags.json) {
    throw new UsageError('-w writes a trace, and --json prints packets: give one of them', 'Then: ringtap read --json');
  }
}

/** What to do with each batch: write it, print it, or nothing but count it. */
function handler(
  captures: readonly Capture[],
  writer: Writer | undefined,
  run: Run,
  lines: ((capture: Capture) => Lines) | undefined,
): Handle {
  if (writer !== undefined) {
    return async (batch, count) => {
      const select = count < batch.length ? Array.from({ length: count }, (_, i) => i) : undefined;
      try {
        await writer.write(batch, { select });
      } catch (error) {
        if (!(error instanceof CaptureError && error.code === 'RINGTAP_CLOSED')) throw error;
        run.stop(); // the last of the files that -W counts is complete
      }
    };
  }
  if (lines === undefined) return () => {};
  const printers = captures.map(lines);
  return (batch, count, i) => print(printers[i]!.lines(batch, count));
}

/** How `-w` is to be written. */
function writerOptions(flags: CaptureFlags): WriterOptions {
  const options = rotateOptions(flags);
  if (options.rotate !== undefined && (flags.write === undefined || flags.write === '-')) {
    throw new UsageError('files that follow each other (-C, -G, -b) need a name: -w FILE');
  }
  if (flags.compress !== undefined && flags.write === undefined) {
    throw new UsageError('--compress is for a trace: name it with -w FILE');
  }
  const { packetBuffered, compress } = flags;
  const tls = isConnection(flags.write) ? tlsFrom(flags, false) : {};
  const { lateness: latenessMs } = flags;
  return { ...options, ...storageOptions(flags, flags.write), ...tls, packetBuffered, compress, latenessMs };
}

/** Whether `-w` names a connection: anything else stands for itself, even where it looks like a URI. */
function isConnection(file: string | undefined): boolean {
  return file !== undefined && /^tcp(-listen)?:\/\//i.test(file);
}

/** Opens what `-w` names. */
async function openTrace(
  file: string,
  options: WriterOptions,
  captures: readonly Capture[],
  filter: string | undefined,
): Promise<Writer> {
  const sends = isConnection(file);
  const scheme = sends ? undefined : readTraceName(file).scheme;
  const isNg = sends ? /[?&]format=pcapng(&|$)/i.test(file) : scheme === 'pcapng';
  if (!sends && captures.some(({ backend, plan }) => backend === 'file' && isSame(file, plan.target))) {
    throw new UsageError(`${file} is the trace that is being read: write to another file`);
  }
  const isBrief = filter !== undefined && filter !== '' && Buffer.byteLength(filter) <= MOST_FILTER_BYTES;
  const told = isBrief && isNg ? { filter } : {};
  const interfaces = captures.map((capture): WriterInterface => ({ capture, ...told }));
  if (interfaces.length > 1 && !isNg) {
    say(`note: ${file} will not say which packet is from where: pcapng does (-w NAME.pcapng)`);
  }
  if (sends) return openWriter(file, { ...options, overwrite: undefined, interfaces });
  return openWriter(`${scheme}:${file}`, { ...options, interfaces });
}

function isSame(written: string, read: string): boolean {
  const [a, b] = [statOf(written, 1), statOf(read, 0)];
  return a !== undefined && b !== undefined && a.ino === b.ino && a.dev === b.dev && a.isFile();
}

function statOf(path: string, standard: number): BigIntStats | undefined {
  if (path === '-') return fstatSync(standard, { bigint: true });
  return statSync(path, { bigint: true, throwIfNoEntry: false });
}
