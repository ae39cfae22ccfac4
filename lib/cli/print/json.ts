// Packets as lines of JSON, in the words of Suricata's EVE where it has one: docs/cli.md is the list.
import { type Decoded, DecodeFlags, decode, macText } from '../../decode/index.js';
import { printableJson } from '../../errors/printable.js';
import { type Batch, type Capture, LINKTYPE, PacketFlags, tunnelOf } from '../../index.js';

const NS = 1_000_000_000;
const NAMES: Readonly<Record<number, string>> = {
  1: 'ICMP',
  2: 'IGMP',
  6: 'TCP',
  17: 'UDP',
  41: 'IPv6',
  47: 'GRE',
  50: 'ESP',
  51: 'AH',
  58: 'IPv6-ICMP',
  89: 'OSPF',
  132: 'SCTP',
};

/** One object a packet, without a look at what was not asked for. */
export class JsonPrinter {
  readonly #epochSeconds: number;
  readonly #epochNs: number;
  readonly #head: string;
  readonly #withData: boolean;
  #decoded: Decoded | undefined;
  #second = Number.NaN;
  #secondText = '';

  /** @param withUri whether each object says which capture it is of @param withData whether it has the bytes, in hex */
  constructor({ epoch, uri }: Capture, withUri: boolean, withData: boolean) {
    const ns = ((epoch % BigInt(NS)) + BigInt(NS)) % BigInt(NS);
    this.#epochSeconds = Number((epoch - ns) / BigInt(NS));
    this.#epochNs = Number(ns);
    this.#head = withUri ? `"uri":${printableJson(JSON.stringify(uri))},` : '';
    this.#withData = withData;
  }

  lines(batch: Batch, count: number): string {
    const decoded = decode(batch, this.#decoded);
    this.#decoded = decoded;
    let text = '';
    for (let i = 0; i < count; i++) {
      const fields = {
        ...linkOf(batch, decoded, i),
        ...tunnelIn(batch, i),
        ...networkOf(decoded, i),
        ...transportOf(decoded, i),
      };
      const data = this.#withData ? { data: hexOf(batch.data(i)) } : {};
      text += `{${this.#timeOf(batch, i)},${this.#head}${JSON.stringify({ ...fields, ...data }).slice(1)}\n`;
    }
    return text;
  }

  /** Exact to the nanosecond: as a calendar has it, and as a decimal, which no double could hold. */
  #timeOf(batch: Batch, i: number): string {
    let seconds: number;
    let ns: number;
    if ((batch.flags[i]! & PacketFlags.timeInexact) === 0) {
      const sum = batch.time[i]! + this.#epochNs;
      seconds = Math.floor(sum / NS);
      ns = sum - seconds * NS;
      seconds += this.#epochSeconds;
    } else {
      const time = batch.timeNs(i);
      const rest = ((time % BigInt(NS)) + BigInt(NS)) % BigInt(NS);
      seconds = Number((time - rest) / BigInt(NS));
      ns = Number(rest);
    }
    const nine = String(ns).padStart(9, '0');
    const whole = seconds > 0 && Number.isSafeInteger(seconds) ? `${seconds}${nine}` : String(batch.timeNs(i));
    if (seconds !== this.#second) {
      this.#second = seconds;
      this.#secondText = calendar(seconds);
    }
    const timestamp = this.#secondText === '' ? 'null' : `"${this.#secondText}.${nine}Z"`;
    return `"timestamp":${timestamp},"time_ns":"${whole}"`;
  }
}

/** A second in RFC 3339's words, without the zone; nothing where it has none for it. */
function calendar(seconds: number): string {
  const date = new Date(seconds * 1000);
  const year = date.getUTCFullYear();
  return year >= 0 && year <= 9999 ? date.toISOString().slice(0, 19) : '';
}

function linkOf(batch: Batch, decoded: Decoded, i: number): object {
  const { linkType } = batch;
  const flags = batch.flags[i]!;
  const hasMacs = linkType === LINKTYPE.ETHERNET && batch.caplen[i]! >= 12;
  const at = batch.offset[i]!;
  const etherType = decoded.etherType[i]!;
  const tags = [decoded.outerTci[i]!, decoded.innerTci[i]!].slice(0, decoded.vlanCount[i]!);
  return {
    link_type: linkType,
    caplen: batch.caplen[i]!,
    wirelen: batch.wirelen[i]!,
    ...(batch.queue[i] === 0 ? {} : { queue: batch.queue[i] }),
    ...((flags & PacketFlags.outgoing) === 0 ? {} : { outgoing: true }),
    ...(hasMacs ? { ether: { src_mac: macText(batch.bytes, at + 6), dest_mac: macText(batch.bytes, at) } } : {}),
    ...(etherType === 0 ? {} : { ether_type: etherType }),
    ...(tags.length === 0 ? {} : { vlan: tags.map((tci) => tci & 0xfff) }),
  };
}

/** The tunnel that it came out of, in the words that events and flows have for it. */
function tunnelIn(batch: Batch, i: number): object {
  const tunnel = batch.tunnel.length === 0 ? undefined : tunnelOf(batch, i);
  if (tunnel === undefined) return {};
  const { kind, id = 0, source, depth } = tunnel;
  return { tunnel: { kind, id, ...(source === undefined ? {} : { src_ip: source }), depth } };
}

function networkOf(decoded: Decoded, i: number): object {
  const version = decoded.ipVersion[i]!;
  if (version === 0) return {};
  const flags = decoded.flags[i]!;
  const hasPorts = (flags & DecodeFlags.ports) !== 0;
  const protocol = decoded.protocol[i]!;
  return {
    src_ip: decoded.src(i),
    ...(hasPorts ? { src_port: decoded.srcPort[i]! } : {}),
    dest_ip: decoded.dst(i),
    ...(hasPorts ? { dest_port: decoded.dstPort[i]! } : {}),
    ip_v: version,
    proto: NAMES[protocol] ?? String(protocol),
    ttl: decoded.ttl[i]!,
    ...((flags & DecodeFlags.fragment) === 0
      ? {}
      : { fragment: { id: decoded.fragmentId[i]!, offset: decoded.fragmentOffset[i]! } }),
  };
}

function transportOf(decoded: Decoded, i: number): object {
  const flags = decoded.flags[i]!;
  return {
    ...((flags & DecodeFlags.tcp) === 0
      ? {}
      : {
          tcp: {
            tcp_flags: decoded.tcpFlags[i]!.toString(16).padStart(2, '0'),
            seq: decoded.sequence[i]!,
            ack: decoded.acknowledgment[i]!,
            window: decoded.window[i]!,
          },
        }),
    ...(decoded.ipVersion[i] === 0 ? {} : { payload_length: decoded.payloadLength[i]! }),
    ...((flags & DecodeFlags.malformed) === 0 ? {} : { malformed: true }),
    ...((flags & DecodeFlags.incomplete) === 0 ? {} : { truncated: true }),
  };
}

function hexOf(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString('hex');
}
