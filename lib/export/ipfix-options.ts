import type { TlsOptions } from '../generated/options.js';
import type { ExporterRequest } from '../native/native.js';
import type { Given } from './options.js';

/** The interface that packets come from, as the collector is told. */
export interface ExportedInterface {
  /** Its index number, 1 or more: `ingressInterface` of each record. By default that of the interface of this name here. */
  readonly index?: number | undefined;
  /** Its name, of up to 64 bytes. */
  readonly name?: string | undefined;
  /** What it is, in up to 64 bytes. */
  readonly description?: string | undefined;
}

/** What a collector is told by, with IPFIX and NetFlow v9 alike. */
export interface CollectorOptions {
  /** Number of the observation domain (NetFlow v9: source id): collectors know exporters by address and this; 1 by default. */
  readonly observationDomain?: number | undefined;
  /** The most bytes of a message, 512 to 65535 (datagrams 65507): of datagrams 1400 by default, so that none is cut on its way; else 16384. */
  readonly messageBytes?: number | undefined;
  /** Where packets come from; it is not told by default. */
  readonly interface?: ExportedInterface | undefined;
  /** What the meter was told: one of so many packets, or flows, is looked at. The collector scales by it. */
  readonly sampling?: { readonly packets?: number | undefined; readonly flows?: number | undefined } | undefined;
  /** How often templates and statistics are sent again, in ms; 60000 by default. By TCP and TLS, statistics. */
  readonly refreshMs?: number | undefined;
  /** `wait`, the default: `write()` waits for who is slow. `drop`: what the queue has no room for is lost, and counted. */
  readonly overflow?: 'wait' | 'drop' | undefined;
  /** How long close() waits for what is on its way, in ms; 5000 by default. */
  readonly closeMs?: number | undefined;
  /** UDP: bytes that the kernel keeps for a network that is busy; 4 MiB by default. */
  readonly bufferBytes?: number | undefined;
}

/** What IPFIX is sent by, and in which form. */
export interface IpfixOptions extends CollectorOptions {
  /** Both directions in a record (RFC 5103), the default; else a record each. */
  readonly biflow?: boolean | undefined;
  /** How finely times are told: `ms` by default, which every collector reads; `us` and `ns` as NTP has times. */
  readonly times?: 'ms' | 'us' | 'ns' | undefined;
  /**
   * Private enterprise number that elements are told by for which IANA has none (tunnels, round trips, retransmissions …); they are
   * left out by default. 32473 is nobody's, for examples; 29305 is refused, which RFC 5103 has for
   * the other direction. docs/export.md lists them.
   */
  readonly enterprise?: number | undefined;
  /** TCP and TLS: bytes that wait for a collector that is slow or away; 16 MiB by default. */
  readonly queueBytes?: number | undefined;
  /** TCP and TLS: how long the collector may take for a connection, in ms; 5000 by default. */
  readonly replyMs?: number | undefined;
  /** TLS, as of a capture from `tcp://`. With `tls://` it may be left out. */
  readonly tls?: boolean | TlsOptions | undefined;
  /** File: one that exists, and is not empty, is emptied, instead of `RINGTAP_FILE_WRITE` (EEXIST). */
  readonly overwrite?: boolean | undefined;
}

export const COLLECTOR_NAMES = [
  'observationDomain',
  'messageBytes',
  'interface',
  'sampling',
  'refreshMs',
  'overflow',
  'closeMs',
  'bufferBytes',
] as const satisfies (keyof CollectorOptions)[];
export const IPFIX_NAMES = [
  ...COLLECTOR_NAMES,
  'biflow',
  'times',
  'enterprise',
  'queueBytes',
  'replyMs',
  'tls',
  'overwrite',
] as const satisfies (keyof IpfixOptions)[];

const MOST_32 = 0xffff_ffff;
/** Elements of the answers have it (RFC 5103). */
const REVERSE_PEN = 29_305;
const MOST_MS = 86_400_000;
const MOST_NAME = 64;
const DATAGRAM_BYTES = 1400;
/** What a datagram of IPv4 can hold. */
const MOST_DATAGRAM = 65_507;
const STREAM_BYTES = 16_384;

/** What the encoder is told. @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION */
export function requestOf(given: Given, protocol: ExporterRequest['protocol'], isDatagram: boolean): ExporterRequest {
  const isNine = protocol === 'netflow9';
  const its = given.group('interface', ['index', 'name', 'description']);
  if (given.value('interface') !== undefined && its.value('index') === undefined && its.value('name') === undefined) {
    throw given.bad('interface', 'has neither an index nor a name');
  }
  const sampling = given.group('sampling', ['packets', 'flows']);
  const samplePackets = sampling.whole('packets', 1, 65_535, 1);
  const sampleFlows = sampling.whole('flows', 1, 65_535, 1);
  if (samplePackets > 1 && sampleFlows > 1) throw given.bad('sampling', 'takes packets or flows, not both');
  const enterprise = isNine ? 0 : given.whole('enterprise', 0, MOST_32, 0);
  if (enterprise === REVERSE_PEN) {
    const what = `must not be ${REVERSE_PEN}, by which elements of the other direction are told (RFC 5103)`;
    throw given.bad('enterprise', what, "Give your own organization's number, or 32473 as in examples.");
  }
  return {
    protocol,
    biflow: isNine ? false : given.flag('biflow', true),
    times: isNine ? 'ms' : given.choice('times', ['ms', 'us', 'ns'], 'ms'),
    enterprise,
    domain: given.whole('observationDomain', 0, MOST_32, 1),
    messageBytes: isDatagram
      ? given.whole('messageBytes', 512, MOST_DATAGRAM, DATAGRAM_BYTES)
      : given.whole('messageBytes', 512, 65_535, STREAM_BYTES),
    interfaceIndex: its.value('index') === undefined ? 0 : its.whole('index', 1, MOST_32, 0),
    interfaceName: its.text('name', MOST_NAME) ?? '',
    interfaceDescription: its.text('description', MOST_NAME) ?? '',
    samplePackets,
    sampleFlows,
  };
}

/** Options that not every destination has. @throws CaptureError RINGTAP_BAD_OPTION */
export function checkDestination(given: Given, transport: 'udp' | 'tcp' | 'tls' | 'file'): void {
  const isStream = transport === 'tcp' || transport === 'tls';
  given.only('bufferBytes', transport === 'udp', 'udp://');
  for (const name of ['queueBytes', 'replyMs', 'tls']) given.only(name, isStream, 'tcp:// and tls://');
  given.only('overwrite', transport === 'file', 'a file');
  // What is asked for by its name does not go out in clear.
  if (transport === 'tls' && given.value('tls') === false)
    throw given.bad('tls', 'is false', 'Write tcp:// for no TLS.');
}

/** How it is sent. @throws CaptureError RINGTAP_BAD_OPTION */
export function sendingOf(given: Given) {
  return {
    refreshMs: given.whole('refreshMs', 1000, MOST_MS, 60_000),
    drops: given.choice('overflow', ['wait', 'drop'], 'wait') === 'drop',
    closeMs: given.whole('closeMs', 0, MOST_MS, 5000),
    bufferBytes: given.whole('bufferBytes', 4096, 1 << 30, 4 << 20),
  };
}
