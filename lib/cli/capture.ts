import { type BigIntStats, fstatSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import type { Command } from 'commander';
import { type Batch, type Capture, CaptureError, openWriter, type Writer, type WriterOptions } from '../index.js';
import { UsageError } from './errors.js';
import { addOpenOptions, type OpenFlags, openOptions, parseCount, parseDuration } from './options.js';
import { print } from './output.js';
import { addPrintOptions, type PrintFlags, printOptions } from './print/options.js';
import { Printer, type PrintOptions } from './print/printer.js';
import { showRate } from './rate.js';
import { addRotateOptions, type RotateFlags, rotateOptions, watchFiles } from './rotate.js';
import { Run } from './run.js';
import { announce, summarize, withCapture } from './session.js';

interface CaptureFlags extends OpenFlags, PrintFlags, RotateFlags {
  write?: string;
  count?: number;
  duration?: number;
  quiet?: true;
  packetBuffered?: true;
}

export function addCapture(program: Command): void {
  const command = program
    .command('capture <uri>')
    .description('capture packets: print a line for each, or write them to a file')
    .option('-w, --write <file>', 'write a trace: pcapng if the name ends so, else pcap; - is standard output')
    .option('-U, --packet-buffered', 'write packets as they come, not up to half a second later')
    .option('-c, --count <packets>', 'stop after so many', parseCount)
    .option('--duration <time>', 'stop after this time, such as 10s, 500ms or 2m', parseDuration)
    .option('-q, --quiet', 'print no packets and no rates, only the summary at the end');
  addPrintOptions(addOpenOptions(addRotateOptions(command)))
    .addHelpText(
      'after',
      `
Examples:
  $ ringtap capture eth0 -c 10
  $ ringtap capture afpacket:eth0 -f "tcp port 443" -w trace.pcapng
  $ ringtap capture eth0 --duration 10s -q
  $ ringtap capture eth0 -w ring.pcapng -b filesize:100000 -b files:10
  $ ringtap capture eth0 -w eth0-%Y%m%d-%H%M.pcap -G 3600
  $ ringtap capture synth:?count=1000 -w - | tcpdump -n -r -

SIGINT (Ctrl-C), SIGTERM and SIGHUP end it in good order, a second one at once.`,
    )
    .action(capture);
}

async function capture(uri: string, flags: CaptureFlags): Promise<void> {
  if (flags.write === '-' && process.stdout.isTTY) {
    throw new UsageError('a trace is not for a terminal: redirect standard output, or name a file');
  }
  const options = openOptions(flags);
  const writing = writerOptions(flags);
  const printing = printOptions(flags);
  await withCapture(uri, options, async (capture) => {
    const writer = flags.write === undefined ? undefined : await openTrace(flags.write, writing, capture);
    const run = new Run(capture, { count: flags.count, durationMs: flags.duration });
    if (writer !== undefined && writing.rotate !== undefined) watchFiles(writer, run, writing.rotate, flags.quiet);
    // Lines on the same terminal would tear it apart.
    const endRate = flags.quiet || (writer === undefined && process.stdout.isTTY) ? () => {} : showRate(capture, run);
    try {
      const running = run.each(handler(capture, writer, run, flags.quiet ? undefined : printing));
      if (!flags.quiet) announce(capture.plan); // WHY: not sooner, as whoever sees it may send a signal
      await running;
      await writer?.close(capture.stats());
    } catch (error) {
      // `capture -w - | head`: as quiet as it is for lines.
      if (flags.write === '-' && error instanceof CaptureError && error.errno === constants.errno.EPIPE) return;
      // What was captured before the failure stays readable.
      await writer?.close(capture.stats()).catch(() => {});
      throw error;
    } finally {
      endRate();
      summarize(capture, run, writer);
    }
  });
}

/** What to do with each batch: write it, print it, or nothing but count it. */
function handler(capture: Capture, writer: Writer | undefined, run: Run, options: PrintOptions | undefined) {
  if (writer !== undefined) {
    return async (batch: Batch, count: number) => {
      const select = count < batch.length ? Array.from({ length: count }, (_, i) => i) : undefined;
      try {
        await writer.write(batch, { select });
      } catch (error) {
        if (!(error instanceof CaptureError && error.code === 'RINGTAP_CLOSED')) throw error;
        run.stop(); // the last of the files that -W counts is complete
      }
    };
  }
  if (options === undefined) return () => {};
  const printer = new Printer(capture.epoch, options);
  return (batch: Batch, count: number) => print(printer.lines(batch, count));
}

/** How `-w` is to be written. */
function writerOptions(flags: CaptureFlags): WriterOptions {
  const options = rotateOptions(flags);
  if (options.rotate !== undefined && (flags.write === undefined || flags.write === '-')) {
    throw new UsageError('files that follow each other (-C, -G, -b) need a name: -w FILE');
  }
  return { ...options, packetBuffered: flags.packetBuffered };
}

/** Opens what `-w` names, which stands for itself even where it looks like a URI. */
async function openTrace(file: string, options: WriterOptions, capture: Capture): Promise<Writer> {
  const { backend, linkType, plan } = capture;
  if (backend === 'file' && isSame(file, plan.target)) {
    throw new UsageError(`${file} is the trace that is being read: write to another file`);
  }
  return openWriter(`${file.endsWith('.pcapng') ? 'pcapng' : 'pcap'}:${file}`, { ...options, linkType });
}

function isSame(written: string, read: string): boolean {
  const [a, b] = [statOf(written, 1), statOf(read, 0)];
  return a !== undefined && b !== undefined && a.ino === b.ino && a.dev === b.dev && a.isFile();
}

function statOf(path: string, standard: number): BigIntStats | undefined {
  if (path === '-') return fstatSync(standard, { bigint: true });
  return statSync(path, { bigint: true, throwIfNoEntry: false });
}
