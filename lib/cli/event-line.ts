// An event as a line that people read: when, what, between whom, and what it says.
import type { Event } from '../flow/index.js';

type Of<Type extends Event['event_type']> = Extract<Event, { event_type: Type }>;

/** What a line says behind the ends; undefined parts are left out. */
type Parts = readonly (string | number | undefined)[];

/** Answers in a line. */
const MOST_ANSWERS = 6;

const SAYS: { readonly [Type in Event['event_type']]?: (event: Of<Type>) => Parts } = {
  arp: ({ arp }) => [
    arp.opcode,
    arp.opcode === 'request' ? `who has ${arp.dest_ip}?` : `${arp.src_ip} is at ${arp.src_mac}`,
    arp.opcode === 'request' ? `tell ${arp.src_ip} (${arp.src_mac})` : undefined,
    arp.was_mac === undefined ? undefined : `CONFLICT: was at ${arp.was_mac}`,
  ],
  dhcp: ({ dhcp }) => [
    dhcp.dhcp_type ?? dhcp.type,
    dhcp.client_mac,
    dhcp.hostname,
    dhcp.assigned_ip === '0.0.0.0' ? named('wants', dhcp.requested_ip) : named('gets', dhcp.assigned_ip),
    named('from', dhcp.server_ip),
    dhcp.lease_time === undefined ? undefined : `for ${dhcp.lease_time} s`,
    dhcp.message,
  ],
  dns: ({ dns }) => [
    dns.service,
    dns.type === 'response' ? dns.rcode : '?',
    ...(dns.queries ?? []).map(({ rrtype, rrname }) => `${rrtype} ${rrname === '' ? '.' : rrname}`),
    ...listed((dns.answers ?? []).map(({ rrtype, rdata }) => `${rrtype} ${rdata ?? ''}`.trimEnd())),
    took(dns.latency_us),
    dns.tc ? 'truncated' : undefined,
    dns.malformed ? 'malformed' : undefined,
    dns.cut ? 'cut' : undefined,
  ],
  http: ({ http }) => [
    http.http_method ?? 'response',
    // A proxy is asked with the whole address, or with the host.
    /^[/*]/.test(http.url ?? '') ? `${http.hostname ?? ''}${http.url}` : http.url,
    http.status ?? (http.length === undefined ? 'no response' : undefined), // HTTP 0.9 has none
    http.http_content_type,
    http.length === undefined ? undefined : `${http.length} bytes`,
    took(http.latency_us),
    named('upgrade to', http.upgrade),
    http.http2 === undefined ? undefined : `stream ${http.http2.stream_id}`,
    named('reset by the client:', http.http2?.request?.error_code),
    named('reset by the server:', http.http2?.response?.error_code),
    http.incomplete ? 'incomplete' : undefined,
  ],
  icmp: ({ icmp }) => [
    icmp.name,
    icmp.id === undefined ? undefined : `id ${icmp.id} seq ${icmp.seq}`,
    took(icmp.rtt_us),
    named('target', icmp.target),
    named('at', icmp.mac),
    named('to', icmp.gateway),
    icmp.mtu === undefined ? undefined : `mtu ${icmp.mtu}`,
    icmp.about === undefined
      ? undefined
      : `about ${end(icmp.about.src_ip, icmp.about.src_port)} → ${end(icmp.about.dest_ip, icmp.about.dest_port)}`,
  ],
  ntp: ({ ntp }) => [
    `v${ntp.version}`,
    ntp.mode,
    ntp.stratum === undefined ? undefined : `stratum ${ntp.stratum}`,
    named('from', ntp.reference),
    named('says', ntp.transmitted),
  ],
  quic: ({ quic }) => [
    `v${quic.version}`,
    quic.sni ?? 'no name',
    quic.ech ? 'ECH' : undefined,
    quic.cipher,
    named('alpn', quic.client_alpns?.join(',')),
    named('offers', quic.versions?.join(',')),
    quic.refused === undefined ? undefined : `${quic.refused} refused`,
    named('ja4', quic.ja4),
  ],
  rdp: ({ rdp }) =>
    rdp.event_type === 'initial_request'
      ? ['asks', named('for', rdp.requested_protocols?.join(',')), named('user', rdp.cookie), rdp.routing_token]
      : [
          'answers',
          rdp.protocol,
          rdp.error_code === undefined ? undefined : `refused: ${rdp.reason ?? rdp.error_code}`,
        ],
  smb: ({ smb }) => [
    smb.dialect,
    named('of', smb.client_dialects?.join(',')),
    smb.status_code === undefined
      ? 'no answer'
      : smb.status_code === '0x0'
        ? undefined
        : (smb.status ?? smb.status_code),
    smb.signing_required ? 'signed' : undefined,
    named('client', smb.client_guid),
    named('server', smb.server_guid),
  ],
  ssh: ({ ssh }) => [
    named('client', ssh.client?.software_version),
    named('server', ssh.server?.software_version),
    named('hassh', ssh.client?.hassh?.hash),
  ],
  tls: ({ tls }) => [
    tls.version ?? 'no answer',
    tls.sni ?? 'no name',
    tls.ech ? 'ECH' : undefined,
    tls.cipher,
    named('alpn', tls.alpn ?? tls.client_alpns?.join(',')),
    named('subject', tls.subject),
    named('ja4', tls.ja4),
  ],
};

/** A line for an event, without its end. */
export function eventLine(event: Event): string {
  const says = (SAYS[event.event_type] ?? fieldsOf) as (event: Event) => Parts;
  const { timestamp, src_ip, src_port, dest_ip, dest_port } = event;
  const time = timestamp.replace('T', ' ').replace(/\+0000$/, '');
  const ends = src_ip === undefined ? [] : [`${end(src_ip, src_port)} → ${end(dest_ip!, dest_port)}`];
  const withheld = event.withheld === undefined ? undefined : `(${event.withheld} withheld before)`;
  const parts = [time, event.event_type.padEnd(4), ...ends, ...says(event), withheld];
  return parts.filter((part) => part !== undefined && part !== '').join('  ');
}

/** Of a protocol without words of its own: its fields that are no lists and no objects. */
function fieldsOf(event: Event): Parts {
  const fields = Object.entries((event as unknown as Record<string, object>)[event.event_type] ?? {});
  return fields.filter(([, value]) => typeof value !== 'object').map(([name, value]) => `${name} ${value}`);
}

function end(address: string, port: number | undefined): string {
  if (port === undefined) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function named(name: string, value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : `${name} ${value}`;
}

function took(us: number | undefined): string | undefined {
  return us === undefined ? undefined : `${(us / 1000).toFixed(3)} ms`;
}

function listed(answers: readonly string[]): string[] {
  const rest = answers.length - MOST_ANSWERS;
  return rest > 0 ? [...answers.slice(0, MOST_ANSWERS), `and ${rest} more`] : [...answers];
}
