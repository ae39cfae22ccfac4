// What Node is started for: the packets, into the pipe that Wireshark reads; and whether a filter is one.
import { closeSync, constants, openSync } from 'node:fs';
import { constants as system } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Capture, CaptureError, explain, openWriter, type Writer } from '../../index.js';
import { authFromFile } from '../auth.js';
import { report, UsageError } from '../errors.js';
import { Run } from '../run.js';
import { withCapture } from '../session.js';
import { optionsOf } from './form.js';
import { ANY, splitName } from './names.js';

/** How long Wireshark may take until it reads. */
const PATIENCE_MS = 5000;
const POLL_MS = 20;

/** A call of Wireshark's. */
export interface Call {
  readonly extcapInterface?: string;
  readonly extcapCaptureFilter?: string;
  readonly capture?: true;
  readonly fifo?: string;
}

/** @param words what the form was filled in with, as `--name value` */
export async function answer(
  { extcapInterface: name, extcapCaptureFilter: text, capture, fifo }: Call,
  words: string[],
): Promise<void> {
  const filter = text === undefined || text.trim() === '' ? {} : { filter: text };
  if (!capture) return checkFilter(filter);
  if (name === undefined) throw new UsageError('extcap: --extcap-interface is missing', 'Wireshark gives it.');
  if (fifo === undefined) throw new UsageError('extcap: --fifo is missing', 'Wireshark gives it.');
  let isWriting = false;
  try {
    const { uri, options } = captureOf(name, given(words));
    await withCapture(uri, { ...options, ...filter }, async (capture) => {
      const { linkType } = capture;
      const writer = await openWriter(`pcap:${fifo}`, { linkType, overwrite: true });
      isWriting = true;
      await copy(capture, writer);
    });
  } catch (error) {
    if (isWriting) throw error;
    // WHY in this order: once the pipe ends, tshark goes by what it was told before.
    process.exitCode = report(error);
    await endPipe(fifo);
  }
}

/** Nothing is said of what went well: Wireshark would show it as a failure. */
async function copy(capture: Capture, writer: Writer): Promise<void> {
  const run = new Run([capture], {});
  try {
    await run.handle((batch) => writer.write(batch));
    await writer.close();
  } catch (error) {
    await writer.close().catch(() => {});
    if (!isReaderGone(error)) throw error;
  }
}

/** Opens the pipe and closes it: whoever waits for its first byte would not learn otherwise that none comes. */
async function endPipe(fifo: string): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(POLL_MS)) {
    try {
      return closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') return; // there is no pipe
    }
  }
}

/** Says nothing where it is one: that is what Wireshark takes for yes. */
async function checkFilter(filter: { filter?: string }): Promise<void> {
  const explained = await explain('synth:', filter);
  if (explained.ok) return;
  const { message, hint } = explained.error;
  throw new UsageError(message.replace(/^synth: /, ''), hint);
}

function captureOf(name: string, given: ReadonlyMap<string, string>) {
  if (name !== ANY) {
    const { scheme, target } = splitName(name);
    return { uri: `${scheme}:${target.replace(/[%?]/g, encodeURIComponent)}`, options: optionsOf(scheme, given) };
  }
  const uri = given.get('--uri') ?? '';
  if (uri === '') {
    const hint =
      'Write it into the form of the interface, or: tshark -i ringtap -o extcap.ringtap.uri:rpcap://host/eth0';
    throw new UsageError('extcap: no URI is given', hint);
  }
  return { uri, options: authFromFile(given.get('--auth-file') || undefined) };
}

function given(words: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (let i = 0; i + 1 < words.length; i += 2) found.set(words[i]!, words[i + 1]!);
  return found;
}

function isReaderGone(error: unknown): boolean {
  return error instanceof CaptureError && error.errno === system.errno.EPIPE;
}
