import { CaptureError } from '../errors/errors.js';
import type { NativeSession, Purpose } from '../native/native.js';
import type { Request } from '../uri/request.js';
import type { Settings } from '../uri/settings.js';
import type { OptionValue } from '../uri/values.js';
import type { Control } from './control.js';
import { wayOf } from './data.js';
import { allowChanges } from './filter.js';
import { linkTypeOf } from './link_type.js';
import { type Login, logIn } from './login.js';
import { type Extras, filterPayload, readAgreed, samplingPayload, startPayload, Type } from './messages.js';
import { conjunction, ownTraffic } from './own-traffic.js';
import { targetOf } from './target.js';
import { watch } from './watch.js';

const MOST_DATAGRAM = 65_535;

/** Opens the side that packets arrive at, with what the daemon has told as options. */
export type OpenLocal = (facts: Readonly<Record<string, OptionValue>>) => Promise<NativeSession>;

/**
 * Opens a capture at a daemon. The session speaks with it until it is closed.
 * @throws CaptureError, or the signal's reason
 */
export async function openRpcap(
  request: Request,
  settings: Settings,
  purpose: Purpose,
  openLocal: OpenLocal,
): Promise<NativeSession> {
  const { uri } = request;
  const target = targetOf(request);
  if (target.device === '') {
    throw new CaptureError('RINGTAP_BAD_URI', `${uri}: no interface is named`, {
      uri,
      backend: 'rpcap',
      hint: `Write it behind the host: rpcap://${target.host}/eth0. ringtap list ${uri} shows which there are.`,
    });
  }
  if (purpose === 'transmit') {
    throw new CaptureError('RINGTAP_UNSUPPORTED', `${uri}: rpcap cannot send packets`, { uri, backend: 'rpcap' });
  }
  refuseWithoutDatagrams(uri, settings);
  return openAt(await logIn(request, target, settings), target.device, { ...settings, uri }, purpose, openLocal);
}

/** What no daemon does: datagrams over TLS, and what is for datagrams without them. */
export function refuseWithoutDatagrams(uri: string, { values, tls }: Settings): void {
  const { transport, recovery, compression } = values;
  if (transport !== 'udp' && (recovery === true || compression === 'zstd')) {
    const name = recovery === true ? 'recovery' : 'compression';
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: ${name} is for transport=udp`, {
      uri,
      backend: 'rpcap',
      hint: `Over TCP nothing is lost on the way: leave ${name} out, or set transport=udp.`,
    });
  }
  if (tls === undefined || transport !== 'udp') return;
  throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: over TLS packets come by transport=tcp, not udp`, {
    uri,
    backend: 'rpcap',
    hint: 'Leave transport out, or reach the daemon by rpcap:// in a network that you trust.',
  });
}

/** The same at a daemon that has let us in. Where that fails, the conversation with it is over. */
export async function openAt(
  { control, bigEndian, countsExactly, offers }: Login,
  device: string,
  settings: Settings & { readonly uri: string },
  purpose: Purpose,
  openLocal: OpenLocal,
): Promise<NativeSession> {
  let session: NativeSession | undefined;
  try {
    const opened = answer(control, 'OPEN', 8, await control.request(Type.open, Buffer.from(device)));
    const linkType = linkTypeOf(opened.readUInt32BE(0));
    const { local, peer, isActive: active } = control;
    const piped = control.options.tls !== undefined;
    const { recovery: offersRecovery, zstd: offersZstd } = offers;
    const facts = { linkType, bigEndian, local, peer, active: active && !piped, offersRecovery, offersZstd };
    session = await openLocal(facts);
    if (purpose === 'capture') {
      const { own, narrow } = await start(control, session, settings, offers);
      const { filter } = session.remote()!;
      const settles = countsExactly && settings.values.transport === 'udp';
      watch(control, session, { ...settings.values, uri: settings.uri }, settles);
      allowChanges(control, session, narrow === undefined ? own : await narrowed(control, filter, own, await narrow()));
    } else {
      control.close();
    }
    return session;
  } catch (error) {
    control.close();
    await session?.close();
    throw error;
  }
}

/**
 * @returns the program that rejects what is never to be captured; and where it rejects more, because a port was not known,
 * what makes a better one
 */
async function start(
  control: Control,
  session: NativeSession,
  { values }: Settings,
  offers: Extras,
): Promise<{ own: Uint32Array; narrow: (() => Promise<Uint32Array> | Uint32Array) | undefined }> {
  const extras = {
    recovery: offers.recovery && values.recovery === true,
    zstd: offers.zstd && values.compression === 'zstd',
    ownTraffic: offers.ownTraffic && values.ownTraffic === true,
  };
  const every = Number(values.sampleEvery);
  if (every > 1) await control.request(Type.sampling, samplingPayload(every));
  const { filter } = session.remote()!;
  const datagrams = values.transport === 'udp';
  const without = (port: number | undefined): Promise<Uint32Array> | Uint32Array =>
    values.ownTraffic === true ? new Uint32Array() : ownTraffic(control, session, { port, datagrams });
  const way = await wayOf(control, session);
  try {
    const own = await without(way.port === 0 ? undefined : way.port);
    const reply = await control.request(
      Type.start,
      startPayload({
        snaplen: Number(values.snaplen),
        timeoutMs: Number(values.timeoutMs),
        promiscuous: values.promiscuous === true,
        port: way.port,
        datagrams,
        extras,
        filter: conjunction(own, filter),
      }),
    );
    const agreed = readAgreed(reply);
    if (extras.recovery && agreed !== undefined) {
      if (agreed.datagramBytes < 1 || agreed.datagramBytes > MOST_DATAGRAM)
        throw control.fault(
          'RINGTAP_REMOTE_PROTOCOL',
          `the daemon tells of datagrams of ${agreed.datagramBytes} bytes`,
        );
      session.remoteAgree(agreed.token, agreed.datagramBytes, true);
    }
    const theirs = way.port === 0 ? answer(control, 'STARTCAP', 8, reply).readUInt16BE(4) : 0;
    if (way.port === 0 && theirs === 0)
      throw control.fault('RINGTAP_REMOTE_PROTOCOL', 'the daemon names no port for the packets');
    await way.ready(theirs);
    return { own, narrow: theirs === 0 || own.length === 0 ? undefined : () => without(theirs) };
  } finally {
    way.close();
  }
}

/**
 * Less is rejected, once all ports are known. WHY not before the connection for packets is there: until then many a daemon
 * reads nothing.
 * @returns the program that is in force
 */
async function narrowed(
  control: Control,
  filter: Uint32Array,
  own: Uint32Array,
  narrower: Uint32Array,
): Promise<Uint32Array> {
  if (narrower.length === 0) return own; // it was closed meanwhile
  try {
    await control.request(Type.filter, filterPayload(conjunction(narrower, filter)));
    return narrower;
  } catch {
    control.options.signal?.throwIfAborted();
    return own; // it goes on with what it has; and where the daemon is gone, the session has been told
  }
}

/** An answer that has so many bytes at least. */
function answer(control: Control, to: string, bytes: number, payload: Buffer): Buffer {
  if (payload.length >= bytes) return payload;
  throw control.fault(
    'RINGTAP_REMOTE_PROTOCOL',
    `the daemon's answer to ${to} has ${payload.length} bytes, not ${bytes}`,
  );
}
