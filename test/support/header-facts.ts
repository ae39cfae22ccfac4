// What decoding and tshark both tell of a packet's headers, in one form.
import { ABSENT, type Decoded, DecodeFlags } from 'ringtap/decode';
import { run } from './child.js';

/** Fields of a packet; undefined where it has no such header. */
export interface HeaderFacts {
  readonly type: number;
  readonly vlans: string;
  readonly src: string;
  readonly dst: string;
  readonly ttl: number | undefined;
  readonly trafficClass: number | undefined;
  readonly fragment: string | undefined;
  readonly ports: string | undefined;
  readonly tcp: string | undefined;
  /** Bytes carried by TCP or UDP. */
  readonly payload: number | undefined;
}

const FIELDS = [
  ...['eth.type', 'vlan.etype', 'ieee8021ad.id', 'vlan.id', 'ip.src', 'ip.dst', 'ipv6.src', 'ipv6.dst'],
  ...['ip.ttl', 'ipv6.hlim', 'ip.dsfield', 'ipv6.tclass', 'ip.frag_offset', 'ip.flags.mf', 'ip.id'],
  ...['ipv6.fraghdr.offset', 'ipv6.fraghdr.more', 'ipv6.fraghdr.ident', 'udp.srcport', 'udp.dstport', 'udp.length'],
  ...['sctp.srcport', 'sctp.dstport', 'dccp.srcport', 'dccp.dstport', 'tcp.srcport', 'tcp.dstport', 'tcp.seq_raw'],
  ...['tcp.ack_raw', 'tcp.flags', 'tcp.window_size_value', 'tcp.len', 'frame.protocols'],
];
const ALONE = ['ip.defragment:FALSE', 'ipv6.defragment:FALSE', 'tcp.desegment_tcp_streams:FALSE'];

/** What tshark says of each packet of a trace. */
export async function factsOfTshark(file: string): Promise<HeaderFacts[]> {
  const options = ALONE.flatMap((option) => ['-o', option]);
  const fields = FIELDS.flatMap((field) => ['-e', field]);
  const text = await run('tshark', '-n', '-r', file, ...options, '-T', 'fields', ...fields);
  return text.split('\n').slice(0, -1).map(factsOfRow);
}

function factsOfRow(row: string): HeaderFacts {
  const values = new Map(row.split('\t').map((value, i) => [FIELDS[i]!, value]));
  const all = (...names: string[]) => names.flatMap((name) => values.get(name)!.split(',')).filter((v) => v !== '');
  // The outermost of several: an error message quotes another packet.
  const number = (...names: string[]) => (all(...names).length === 0 ? undefined : Number(all(...names)[0]));
  const pair = (a: string, b: string) => all(a).slice(0, 1).concat(all(b).slice(0, 1)).join(' ');
  const isSix = all('ipv6.src').length > 0;
  const fragment = (offset: string, more: string, id: string) =>
    number(offset) === undefined ? undefined : `${number(offset)! * 8} ${number(more)} ${number(id)}`;
  const isUdp = /:udp(:|$)/.test(values.get('frame.protocols')!);
  const udpLength = isUdp ? number('udp.length') : undefined;
  return {
    type: Number(all('eth.type', 'vlan.etype').at(-1)),
    vlans: all('ieee8021ad.id', 'vlan.id').join(),
    src: all('ip.src', 'ipv6.src')[0] ?? '',
    dst: all('ip.dst', 'ipv6.dst')[0] ?? '',
    ttl: number('ip.ttl', 'ipv6.hlim'),
    trafficClass: number('ip.dsfield', 'ipv6.tclass'),
    fragment: isSix
      ? fragment('ipv6.fraghdr.offset', 'ipv6.fraghdr.more', 'ipv6.fraghdr.ident')
      : fragment('ip.frag_offset', 'ip.flags.mf', 'ip.id'),
    ports: ['udp', 'tcp', 'sctp', 'dccp']
      .map((name) => pair(`${name}.srcport`, `${name}.dstport`))
      .find((v) => v !== ''),
    tcp:
      number('tcp.window_size_value') === undefined
        ? undefined
        : `${number('tcp.seq_raw')} ${number('tcp.ack_raw')} ${number('tcp.flags')! & 255} ${number('tcp.window_size_value')}`,
    payload: number('tcp.len') ?? (udpLength === undefined ? undefined : udpLength - 8),
  };
}

/** What the columns say of packet `i`. */
export function factsOfColumns(decoded: Decoded, i: number): HeaderFacts {
  const has = (flag: number) => (decoded.flags[i]! & flag) !== 0;
  const isIp = decoded.ipVersion[i] !== 0;
  const isSix = decoded.ipVersion[i] === 6;
  const vlans = [decoded.outerTci[i]! & 0xfff, decoded.innerTci[i]! & 0xfff].slice(0, decoded.vlanCount[i]!);
  const isFragment = isSix ? decoded.fragmentId[i] !== 0 : isIp;
  const more = has(DecodeFlags.moreFragments) ? 1 : 0;
  const isCounted = has(DecodeFlags.tcp) || (decoded.protocol[i] === 17 && decoded.transportOffset[i] !== ABSENT);
  return {
    type: decoded.etherType[i]!,
    vlans: vlans.join(),
    src: decoded.src(i),
    dst: decoded.dst(i),
    ttl: isIp ? decoded.ttl[i]! : undefined,
    trafficClass: isIp ? decoded.trafficClass[i]! : undefined,
    fragment: isFragment ? `${decoded.fragmentOffset[i]!} ${more} ${decoded.fragmentId[i]!}` : undefined,
    ports: has(DecodeFlags.ports) ? `${decoded.srcPort[i]!} ${decoded.dstPort[i]!}` : undefined,
    tcp: has(DecodeFlags.tcp)
      ? `${decoded.sequence[i]!} ${decoded.acknowledgment[i]!} ${decoded.tcpFlags[i]!} ${decoded.window[i]!}`
      : undefined,
    payload: isCounted ? decoded.payloadLength[i]! : undefined,
  };
}
