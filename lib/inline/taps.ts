// Who looks on: traces that are written, and batches that are read.
import type { Capture } from '../capture/capture.js';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { openWriter, type WriterOptions } from '../write/open.js';
import type { Writer } from '../write/writer.js';

/** Batches of packets, for the program that forwards: `inline.taps` has them. */
export interface InlineBatches {
  /** The memory that packets wait in until they are read: 1,048,576 to 1,073,741,824; default 16,777,216. */
  readonly bufferBytes?: number | undefined;
}

/**
 * Where a tap leads to: a URI as `openWriter()` takes it, alone or with options of the writer; or `true`, or an object without
 * a URI: batches, which are read from `inline.taps`.
 */
export type InlineTap = true | string | InlineBatches | (Pick<WriterOptions, TapOption> & { readonly uri: string });
type TapOption = (typeof TAP_OPTIONS)[number];

/** Traces and batches of what is sent on. */
export interface InlineCapture {
  /** Packets of rules as they came in. */
  readonly ingress?: InlineTap | undefined;
  /** Packets of rules as they were sent. */
  readonly egress?: InlineTap | undefined;
  /** Packets as if nobody were between: from the client to the server, and back. Their times are those of arrival. */
  readonly inline?: InlineTap | undefined;
}

/** Taps that are read as batches. */
export interface InlineTaps {
  /** Packets of rules as they came in. */
  readonly ingress?: Capture;
  /** Packets of rules as they were sent. */
  readonly egress?: Capture;
  /** Packets as if nobody were between. */
  readonly inline?: Capture;
}

export const TAPS = ['ingress', 'egress', 'inline'] as const;
export type TapName = (typeof TAPS)[number];
const TAP_OPTIONS = [
  ...(['snaplen', 'nanosecond', 'compress', 'comment', 'overwrite', 'rotate', 'fsync', 'flushMs'] as const),
  ...(['packetBuffered', 'queueBytes', 'direct', 'preallocateBytes', 'format'] as const),
] as const;
const ETHERNET = 1;
/** A trace must not hold the packets back: what its disk does not take at once waits in here, and is dropped then. */
const TAP_QUEUE_BYTES = 2 ** 26;
const [LEAST_BUFFER_BYTES, BUFFER_BYTES, MOST_BUFFER_BYTES] = [2 ** 20, 2 ** 24, 2 ** 30];
const ABOUT: Readonly<Record<TapName, string>> = {
  ingress: 'ringtap inline: packets as they came in',
  egress: 'ringtap inline: packets as they were sent',
  inline:
    'ringtap inline: synthetic. Packets as if nobody were between client and server: one address and the checksums are not those of the wire',
};

export type Writers = Partial<Record<TapName, Writer>>;
/** Taps that are open: writers, and how many bytes each reader of batches has. */
export interface OpenTaps {
  readonly writers: Writers;
  readonly buffers: Partial<Record<TapName, number>>;
}

type ReadTap = number | ({ uri: string } & Record<string, unknown>);

function readTap(name: string, value: unknown): ReadTap {
  const bad = (what: string) => new CaptureError('RINGTAP_BAD_OPTION', `openInline(): capture.${name} ${what}`);
  if (typeof value === 'string') return { uri: value };
  if (value === true) return BUFFER_BYTES;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad(`must be a URI, an object, or true, not ${show(value)}`);
  }
  const tap = Object.assign(Object.create(null), value) as Record<string, unknown>;
  const known: readonly string[] = tap.uri === undefined ? ['bufferBytes'] : ['uri', ...TAP_OPTIONS];
  const unknown = Object.keys(tap).find((key) => tap[key] !== undefined && !known.includes(key));
  if (unknown !== undefined) {
    const what = tap.uri === undefined ? ', having no uri,' : '';
    throw new CaptureError(
      'RINGTAP_UNKNOWN_OPTION',
      `openInline(): capture.${name}${what} has no option ${show(unknown)}`,
      {
        hint: `Its options are ${known.join(', ')}.`,
      },
    );
  }
  if (tap.uri === undefined) {
    const bytes = tap.bufferBytes ?? BUFFER_BYTES;
    const isGood = Number.isInteger(bytes) && Number(bytes) >= LEAST_BUFFER_BYTES && Number(bytes) <= MOST_BUFFER_BYTES;
    if (isGood) return Number(bytes);
    throw bad(
      `needs bufferBytes from ${LEAST_BUFFER_BYTES} to ${MOST_BUFFER_BYTES}, a whole number, not ${show(bytes)}`,
    );
  }
  if (typeof tap.uri !== 'string') throw bad(`needs a uri that is a string, not ${show(tap.uri)}`);
  return tap as { uri: string } & Record<string, unknown>;
}

/** Opens the traces; those that are open are closed where one fails. */
export async function openTaps(capture: unknown, interfaces: readonly string[]): Promise<OpenTaps> {
  if (capture === undefined) return { writers: {}, buffers: {} };
  if (typeof capture !== 'object' || capture === null || Array.isArray(capture)) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `openInline(): capture must be an object, not ${show(capture)}`);
  }
  const unknown = Object.keys(capture).find((key) => !(TAPS as readonly string[]).includes(key));
  if (unknown !== undefined) {
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `openInline(): there is no tap ${show(unknown)}`, {
      hint: `Taps are ${TAPS.join(', ')}.`,
    });
  }
  const given: Record<string, unknown> = Object.assign(Object.create(null), capture);
  const wanted = TAPS.flatMap((name) =>
    given[name] === undefined ? [] : [[name, readTap(name, given[name])] as const],
  );
  const [writers, buffers]: [Writers, Partial<Record<TapName, number>>] = [{}, {}];
  try {
    for (const [name, tap] of wanted) {
      if (typeof tap === 'number') buffers[name] = tap;
      else writers[name] = await openTrace(name, tap, interfaces);
    }
    return { writers, buffers };
  } catch (error) {
    await Promise.allSettled(Object.values(writers).map((writer) => writer.close()));
    throw error;
  }
}

function openTrace(name: TapName, tap: Exclude<ReadTap, number>, interfaces: readonly string[]): Promise<Writer> {
  const { uri, ...options } = tap;
  const isPcapng = /pcapng/.test(uri) || options.format === 'pcapng';
  const told = isPcapng ? { comment: ABOUT[name], interfaces: interfaces.map((one) => ({ name: one })) } : {};
  const several = isPcapng && interfaces.length > 1 ? { latenessMs: 0 } : {};
  const fixed = { linkType: ETHERNET, overflow: 'drop' as const };
  return openWriter(uri, { queueBytes: TAP_QUEUE_BYTES, ...told, ...several, ...options, ...fixed });
}
