import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { FlowBatch } from '../flow/index.js';
import { FlowExporter, type Sink } from './exporter.js';
import { Given } from './options.js';
import { Counts, type ExportStats } from './stats.js';

/** What metrics tell apart. */
export interface MetricsOptions {
  /** Names of applications, and the server ports that they are known by: up to 64. What has no name is `other`. */
  readonly applications?: Readonly<Record<string, readonly number[]>> | undefined;
}

const MOST_APPLICATIONS = 64;
const MOST_PORTS = 65_535;
const APPLICATIONS: Readonly<Record<string, readonly number[]>> = {
  dns: [53, 5353, 5355],
  http: [80, 8000, 8080],
  https: [443, 8443],
  ssh: [22],
  mail: [25, 110, 143, 465, 587, 993, 995],
  ntp: [123],
  dhcp: [67, 68, 546, 547],
  file: [20, 21, 69, 111, 139, 445, 873, 2049],
  database: [1433, 1521, 3306, 5432, 6379, 9042, 9200, 27017],
  directory: [88, 389, 464, 636],
  desktop: [3389, 5900],
  message: [1883, 5222, 5672, 8883, 9092],
  voice: [3478, 5060, 5061],
  management: [161, 162, 514, 830, 2055, 4739, 6343],
  vpn: [500, 1194, 1701, 4500, 51820],
};
/** Protocols that have a name of their own, by what IP carries. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  47: 'gre',
  50: 'esp',
  58: 'icmpv6',
  132: 'sctp',
};
const ENDINGS = ['idle', 'active', 'fin', 'rst', 'evicted', 'flushed'];
const DIRECTIONS = ['to_server', 'to_client'];

/** Sums by bounded labels. */
class MetricsSink implements Sink {
  readonly #counts = new Counts();
  readonly #protocols = ['other', ...Object.values(PROTOCOLS)];
  readonly #applications: readonly string[];
  readonly #protocolOf = new Uint8Array(256);
  readonly #applicationOf = new Uint8Array(65_536);
  /** Of each protocol and application: packets and bytes by direction, and records by how they ended. */
  readonly #sums: Float64Array;
  static readonly #width = 4 + ENDINGS.length;

  constructor(applications: readonly (readonly [string, readonly number[]])[]) {
    Object.keys(PROTOCOLS).forEach((number, i) => {
      this.#protocolOf[Number(number)] = i + 1;
    });
    this.#applications = ['other', ...applications.map(([name]) => name)];
    applications.forEach(([, ports], i) => {
      for (const port of ports) this.#applicationOf[port] = i + 1;
    });
    this.#sums = new Float64Array(this.#protocols.length * this.#applications.length * MetricsSink.#width);
  }

  write(flows: FlowBatch): undefined {
    const { length, protocol, srcPort, dstPort, initiatorKnown, sampling, ended } = flows;
    const { packetsToServer, packetsToClient, frameBytesToServer, frameBytesToClient } = flows;
    const [sums, applicationOf, protocolOf] = [this.#sums, this.#applicationOf, this.#protocolOf];
    for (let i = 0; i < length; i++) {
      let application = applicationOf[dstPort[i]!]!;
      // Who was seen first need not have begun.
      if (application === 0 && initiatorKnown[i] === 0) application = applicationOf[srcPort[i]!]!;
      const at = (protocolOf[protocol[i]!]! * this.#applications.length + application) * MetricsSink.#width;
      const factor = sampling[i]!;
      sums[at]! += factor * packetsToServer[i]!;
      sums[at + 1]! += factor * packetsToClient[i]!;
      sums[at + 2]! += factor * frameBytesToServer[i]!;
      sums[at + 3]! += factor * frameBytesToClient[i]!;
      sums[at + 4 + Math.min(ended[i]!, ENDINGS.length - 1)]!++;
    }
    this.#counts.flows += length;
    this.#counts.records += length;
    this.#counts.sent += length;
    return undefined;
  }

  text(): string {
    const packets: string[] = [];
    const bytes: string[] = [];
    const records: string[] = [];
    for (const [p, protocol] of this.#protocols.entries()) {
      for (const [a, application] of this.#applications.entries()) {
        const at = (p * this.#applications.length + a) * MetricsSink.#width;
        const [sums, labels] = [this.#sums, `protocol="${protocol}",application="${application}"`];
        ENDINGS.forEach((ended, i) => {
          const count = sums[at + 4 + i]!;
          if (count > 0) records.push(`ringtap_flow_records_total{${labels},ended="${ended}"} ${count}`);
        });
        DIRECTIONS.forEach((direction, i) => {
          if (sums[at + i]! === 0) return;
          packets.push(`ringtap_flow_packets_total{${labels},direction="${direction}"} ${sums[at + i]}`);
          bytes.push(`ringtap_flow_bytes_total{${labels},direction="${direction}"} ${sums[at + 2 + i]}`);
        });
      }
    }
    return [
      '# HELP ringtap_flow_records_total Records of flows, by how they ended.',
      '# TYPE ringtap_flow_records_total counter',
      ...records,
      '# HELP ringtap_flow_packets_total Packets of flows, times the factor of sampling.',
      '# TYPE ringtap_flow_packets_total counter',
      ...packets,
      '# HELP ringtap_flow_bytes_total Bytes of frames on the wire, times the factor of sampling.',
      '# TYPE ringtap_flow_bytes_total counter',
      ...bytes,
      '',
    ].join('\n');
  }

  async flush(): Promise<void> {}
  async close(): Promise<void> {}
  stats(): ExportStats {
    return this.#counts.told();
  }
}

/**
 * Sums flows into counters for Prometheus, by labels of which there are few, whatever the traffic: `protocol`, `application` (a class
 * of server ports), `direction` and `ended`; an address is never one. What has no name is `other`.
 * @example
 * const metrics = new MetricsExporter({ applications: { web: [80, 443], dns: [53] } });
 * const meter = new FlowMeter();
 * meter.add(batch);
 * meter.flush();
 * for (const flows of meter.drain()) await metrics.write(flows);
 * console.log(metrics.metrics()); // what GET /metrics answers
 */
export class MetricsExporter extends FlowExporter {
  readonly #sums: MetricsSink;

  /**
   * Begins with all counters at 0.
   * @param options which applications there are; common ones by default
   * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION
   */
  constructor(options: MetricsOptions = {}) {
    const sums = new MetricsSink(applicationsOf(options));
    super('MetricsExporter', sums);
    this.#sums = sums;
  }

  /**
   * All counters as text of Prometheus, version 0.0.4 (`text/plain; version=0.0.4`): UTF-8, with a line end behind the last one.
   * @throws nothing
   */
  metrics(): string {
    return this.#sums.text();
  }
}

function applicationsOf(options: unknown): (readonly [string, readonly number[]])[] {
  const given = new Given('MetricsExporter', options, ['applications']);
  const value = given.value('applications') ?? APPLICATIONS;
  const hint = 'Write { applications: { web: [80, 443], dns: [53] } }.';
  const no = (what: string) =>
    new CaptureError('RINGTAP_BAD_OPTION', `MetricsExporter: option applications ${what}`, { hint });
  const all = entriesOf(value);
  if (all === undefined) throw no(`must be an object, not ${show(value)}`);
  if (all.length > MOST_APPLICATIONS) throw no(`may have ${MOST_APPLICATIONS} names, not ${all.length}`);
  return all.map(([name, ports]) => {
    if (!/^[a-z0-9_.-]{1,32}$/i.test(name)) throw no(`has a name that is none: ${show(name)}`);
    const list = listOf(ports);
    if (list === undefined) throw no(`must list ports from 1 to 65535 for ${name}`);
    return [name, list] as const;
  });
}

/** Undefined for what is no object, or cannot be looked at. */
function entriesOf(value: unknown): [string, unknown][] | undefined {
  try {
    const isObject = typeof value === 'object' && value !== null && !(Symbol.iterator in value);
    return isObject ? Object.entries(value) : undefined;
  } catch {
    return undefined;
  }
}

function listOf(ports: unknown): readonly number[] | undefined {
  try {
    if (!Array.isArray(ports) || ports.length > MOST_PORTS) return undefined;
    const list = Array.from(ports as unknown[]);
    const isPort = (port: unknown) =>
      typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= MOST_PORTS;
    return list.every(isPort) ? (list as number[]) : undefined;
  } catch {
    return undefined;
  }
}
