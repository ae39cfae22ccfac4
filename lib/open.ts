import { Capture } from './capture/capture.js';
import { CaptureError } from './errors/errors.js';
import type { OptionsOf } from './generated/options.js';
import { BACKENDS } from './generated/schema.js';
import { follow } from './plan/candidates.js';
import { warnOfPlan } from './plan/warnings.js';
import { SessionTransmitter, type Transmitter } from './transmit/transmit.js';
import { resolve } from './uri/request.js';

/**
 * Opens a capture. When the promise resolves, it is running and its filter in force.
 *
 * Where the host lacks the method, the next one is tried, a process warning (`RINGTAP_FALLBACK`) is emitted and
 * `capture.plan` says why; `fallback: false` makes that an error. A missing right, a missing interface or a bad
 * option is always an error.
 *
 * @param uri such as `afpacket:eth0`, `file:trace.pcapng`, `eth0`; docs/uri.md has them all
 * @param options those of the URI's scheme; they win over the URI's query parameters of the same name
 * @throws CaptureError RINGTAP_BAD_URI, RINGTAP_UNKNOWN_SCHEME, RINGTAP_UNKNOWN_OPTION, RINGTAP_BAD_OPTION,
 * RINGTAP_BAD_FILTER, RINGTAP_NO_INTERFACE, RINGTAP_INTERFACE_DOWN, RINGTAP_NO_PERMISSION, RINGTAP_BACKEND_MISSING,
 * RINGTAP_FILE_OPEN, RINGTAP_FILE_FORMAT … (docs/errors.md has them all); or the signal's reason when it aborts first:
 * then nothing is left of what was being opened
 * @example
 * await using capture = await open('afpacket:eth0', { filter: 'udp', snaplen: 128, signal: AbortSignal.timeout(1000) });
 * try {
 *   for await (const batch of capture) console.log(batch.length);
 * } catch (error) {
 *   console.log(error); // the second is over
 * }
 */
export async function open<Uri extends string>(uri: Uri, options?: OptionsOf<Uri>): Promise<Capture> {
  const request = resolve(uri, options);
  const followed = await follow(request, 'capture');
  if (!followed.ok) throw followed.error;
  const { session, info, plan, ignored } = followed;
  warnOfPlan(request, plan, ignored);
  const transmit = info.transmits ? new SessionTransmitter(session, plan.uri, plan.backend) : null;
  return new Capture(session, info, plan, transmit, request.signal);
}

const SENDERS = BACKENDS.filter(({ transmits }) => transmits)
  .map(({ name, target }) => (target === 'interface' ? `${name}:IFACE` : `${name}:`))
  .join(', ');

/**
 * Opens the sending side of a capture method, without a capture: no traffic is touched.
 * @param uri such as `afxdp:eth0`; docs/uri.md says which methods send
 * @param options those of the URI's scheme; `signal` ends the opening only
 * @throws CaptureError RINGTAP_UNSUPPORTED where the method cannot send, and what {@link open} is rejected with; or the
 * signal's reason when it aborts first
 * @example
 * await using transmitter = await openTransmitter('afxdp:eth0');
 * for (const frame of frames) {
 *   while (!transmitter.send(frame)) await transmitter.drain();
 * }
 * await transmitter.flush();
 * console.log(transmitter.stats().completed);
 */
export async function openTransmitter<Uri extends string>(uri: Uri, options?: OptionsOf<Uri>): Promise<Transmitter> {
  const followed = await follow(resolve(uri, options, true), 'transmit');
  if (!followed.ok) throw followed.error;
  const { session, info, plan } = followed;
  if (!info.transmits) {
    await session.close();
    throw new CaptureError('RINGTAP_UNSUPPORTED', `${uri}: ${plan.backend} cannot send packets`, {
      uri,
      backend: plan.backend,
      hint: `Send with ${SENDERS}.`,
    });
  }
  return new SessionTransmitter(session, uri, plan.backend, () => session.close());
}
