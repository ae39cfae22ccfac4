import { wrapNative } from '../errors/errors.js';
import type { FlowStats } from '../flow/index.js';
import { addon, type ExporterRequest, type NativeExporter } from '../native/native.js';
import { connect } from '../tcp/connect.js';
import { checkTls } from '../uri/tls.js';
import { DatagramSink } from './datagrams.js';
import { encode, ignoredOf, Numbering } from './encoder.js';
import { FlowExporter, type Sink } from './exporter.js';
import { OutputFile } from './file.js';
import {
  COLLECTOR_NAMES,
  type CollectorOptions,
  checkDestination,
  IPFIX_NAMES,
  type IpfixOptions,
  requestOf,
  sendingOf,
} from './ipfix-options.js';
import { Given } from './options.js';
import { FileSink } from './pieces.js';
import { StreamSink } from './stream.js';
import { exportTarget, IPFIX, NETFLOW } from './target.js';

/** Exporters that tell a collector of the meter, too. */
type Accountable = Sink & { ignore?(packets: number): void };

/**
 * Sends flows to a collector, or writes them into a file, as IPFIX (RFC 7011, RFC 5655), both directions in one record (RFC 5103).
 * Messages are made natively, of the columns; templates and statistics of the exporter go before them, and again from time to time.
 *
 * - `udp://host:4739`: nothing waits, and nobody answers. Where the collector's host says that nobody listens, `stats().refusals`
 *   counts it, and templates are sent until somebody does. What the network loses, the collector misses by its numbers.
 * - `tcp://host:4739`, `tls://host:4740`: who is slow holds `write()` back. A connection that is lost is made again, after one
 *   second, then two, up to 30, with a process warning; what was on its way is in `stats().notSent.connection`.
 * - `flows.ipfix`, `file:path`: a file, of whole messages also when the disk is full.
 * @example
 * const exporter = await IpfixExporter.open('udp://127.0.0.1:4739', { interface: { index: 2, name: 'eth0' } });
 * const meter = new FlowMeter();
 * meter.add(batch);
 * meter.flush();
 * for (const flows of meter.drain()) await exporter.write(flows);
 * exporter.account(meter.stats());
 * await exporter.close();
 * console.log(exporter.stats().sent, 'records');
 */
export class IpfixExporter extends FlowExporter {
  readonly #to: Accountable;

  /** @internal */
  constructor(uri: string, sink: Accountable) {
    super(uri, sink);
    this.#to = sink;
  }

  /**
   * Finds the collector, or creates the file. By TCP and TLS the connection is there.
   * @param uri `udp://host:port` (or `host:port`), `tcp://host:port`, `tls://host:port`, `flows.ipfix` or `file:path`
   * @param options what is sent, and how
   * @throws CaptureError RINGTAP_BAD_URI, RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_REMOTE_UNREACHABLE (no such host, no
   * way to it, or nobody listens), RINGTAP_REMOTE_TLS, RINGTAP_FILE_WRITE, RINGTAP_BUSY (somebody else writes the file), RINGTAP_NO_INTERFACE,
   * RINGTAP_SYSTEM, RINGTAP_UNSUPPORTED (UDP where it is not Linux), RINGTAP_ADDON_MISSING
   */
  static async open(uri: string, options: IpfixOptions = {}): Promise<IpfixExporter> {
    const to = exportTarget(uri, IPFIX);
    const given = new Given(uri, options, IPFIX_NAMES);
    checkDestination(given, to.transport);
    const request = requestOf(given, 'ipfix', to.transport === 'udp');
    const sending = sendingOf(given);
    const overwrite = given.flag('overwrite', false);
    if (to.transport === 'udp') {
      return new IpfixExporter(uri, await DatagramSink.open(request, { uri, ...to, ...sending, suffix: IPFIX.suffix }));
    }
    if (to.transport === 'file') {
      const native = openNative(uri, request);
      const numbering = new Numbering();
      const file = new FileSink(new OutputFile(to.path, overwrite, false), (flows) => {
        const made = encode(native, flows);
        return { bytes: numbering.number(made), records: made.records, messages: made.messages };
      });
      const nothing = { messages: 0, octets: 0, records: 0, lostRecords: 0, lostPackets: 0, lostOctets: 0 };
      await file.begin(numbering.number(native.announce(Date.now(), { ...nothing, ignoredPackets: 0 })));
      return new IpfixExporter(uri, file);
    }
    const { host, port } = to;
    const tls = checkTls({ uri }, given.value('tls') ?? to.transport === 'tls');
    const timeoutMs = given.whole('replyMs', 50, 600_000, 5000);
    const queueBytes = given.whole('queueBytes', 65_536, 2 ** 34, 16 << 20);
    const sink = new StreamSink(openNative(uri, request), { uri, queueBytes, ...sending }, (signal) =>
      connect({ uri, backend: undefined, host, port, tls, timeoutMs, signal }),
    );
    await sink.begin();
    return new IpfixExporter(uri, sink);
  }

  /**
   * What the meter has counted: the collector is told how many packets are in no flow, with the next statistics.
   * @param stats of the meter
   * @throws CaptureError RINGTAP_BAD_OPTION
   */
  account(stats: FlowStats): void {
    const ignored = ignoredOf(stats);
    this.#to.ignore?.(ignored);
  }
}

/**
 * Sends flows to a collector as NetFlow v9 (RFC 3954) by UDP: a record for each direction in which there were packets, both with
 * the times of the whole flow. Times count from a boot, a whole second before the first flow of a message; of flows that are
 * 49 days old or more the header has the time of the latest one instead of now. What is longer than that begins later.
 * @example
 * const exporter = await NetflowExporter.open('udp://127.0.0.1:2055');
 * const meter = new FlowMeter();
 * meter.add(batch);
 * meter.flush();
 * for (const flows of meter.drain()) await exporter.write(flows);
 * await exporter.close();
 * console.log(exporter.stats().sent, 'records');
 */
export class NetflowExporter extends FlowExporter {
  /**
   * Finds the collector.
   * @param uri `udp://host:port` or `host:port`
   * @param options what is sent, and how
   * @throws CaptureError RINGTAP_BAD_URI, RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_REMOTE_UNREACHABLE (no such host),
   * RINGTAP_NO_INTERFACE, RINGTAP_SYSTEM, RINGTAP_UNSUPPORTED (where it is not Linux), RINGTAP_ADDON_MISSING
   */
  static async open(uri: string, options: CollectorOptions = {}): Promise<NetflowExporter> {
    const to = exportTarget(uri, NETFLOW);
    const given = new Given(uri, options, COLLECTOR_NAMES);
    const request = requestOf(given, 'netflow9', true);
    const { host, port } = to as { host: string; port: number };
    return new NetflowExporter(uri, await DatagramSink.open(request, { uri, host, port, ...sendingOf(given) }));
  }
}

function openNative(uri: string, request: ExporterRequest): NativeExporter {
  try {
    return addon().openExporter(request);
  } catch (error) {
    throw wrapNative(error, undefined, uri);
  }
}
