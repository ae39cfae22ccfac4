import { open, openTransmitter } from './open.js';
import type { Openers, ReplayOptions, ReplayProgress, ReplaySource } from './transmit/replay.js';
import type { Transmitter } from './transmit/transmit.js';

/**
 * Sends packets again, in the time that they were recorded in, or at another pace. They are read into memory first, and a
 * native thread sends them: neither a slow disk nor a busy event loop shows in what goes out.
 *
 * @param source a trace by path or URI, several that are read as one in order of time, or a capture, which is read to its
 * end and stays open
 * @param to where frames go: a transmitter, which stays open, or the URI of one
 * @param options pace, part, changes, and where frames of servers go
 * @returns what became of it, once everything was sent
 * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_FILE_OPEN and what else {@link open} and
 * {@link openTransmitter} are rejected with; RINGTAP_UNSUPPORTED (another link type, a packet longer than the MTU, nothing
 * to send), RINGTAP_NO_MEMORY, RINGTAP_INTERFACE_DOWN, RINGTAP_INTERFACE_GONE; or the signal's reason
 * @example
 * const { sent, seconds, lateness } = await replay('synth:?count=1000', 'afpacket:eth0', { pps: 10_000 });
 * console.log(`${sent} frames in ${seconds} s, half of them less than ${lateness.p50} ns late`);
 */
export async function replay(
  source: ReplaySource,
  to: Transmitter | string,
  options: ReplayOptions = {},
): Promise<ReplayProgress> {
  const { Replay } = await import('./transmit/replay.js'); // most programs send nothing again
  const openers = { open, openTransmitter } as unknown as Openers;
  return new Replay(source, options, openers).run(source, to);
}
