import { ipv4Address } from './address.js';
import type { Line } from './line.js';

const TYPES: Readonly<Record<number, string>> = {
  4: 'source quench',
  10: 'router solicitation',
  15: 'information request',
  16: 'information reply',
  17: 'address mask request',
};
// Code → text; @ stands for the destination of the packet that the message is about.
const UNREACHABLE: readonly string[] = [
  'net @ unreachable',
  'host @ unreachable',
  '',
  '',
  '',
  '@ unreachable - source route failed',
  'net @ unreachable - unknown',
  'host @ unreachable - unknown',
  '@ unreachable - source host isolated',
  'net @ unreachable - admin prohibited',
  'host @ unreachable - admin prohibited',
  'net @ unreachable - tos prohibited',
  'host @ unreachable - tos prohibited',
  'host @ unreachable - admin prohibited filter',
  'host @ unreachable - host precedence violation',
  'host @ unreachable - precedence cutoff',
];
const REDIRECT: readonly string[] = [
  'redirect @ to net',
  'redirect @ to host',
  'redirect-tos @ to net',
  'redirect-tos @ to host',
];
const IP_DESTINATION = 24; // of the packet quoted after the 8 bytes of ICMP header

export function icmp(line: Line, at: number, length: number): void {
  line.protocol = 'icmp';
  const what = describe(line, at);
  line.text += `ICMP ${what}, length ${length}`;
}

function describe(line: Line, at: number): string {
  const type = line.u8(at);
  const code = line.u8(at + 1);
  const about = (text: string) => text.replace('@', ipv4Address(line, at + IP_DESTINATION));
  switch (type) {
    case 0:
      return `echo reply, id ${line.u16(at + 4)}, seq ${line.u16(at + 6)}`;
    case 8:
      return `echo request, id ${line.u16(at + 4)}, seq ${line.u16(at + 6)}`;
    case 3:
      return unreachable(line, at, code);
    case 5:
      return `${about(REDIRECT[code] ?? `redirect-#${code} @ to`)} ${ipv4Address(line, at + 4)}`;
    case 9:
      return advertisement(line, at);
    case 11:
      line.need(at + IP_DESTINATION, 4);
      if (code === 0) return 'time exceeded in-transit';
      return code === 1 ? 'ip reassembly time exceeded' : `time exceeded-#${code}`;
    case 12:
      return code === 0 ? `parameter problem - octet ${line.u8(at + 4)}` : `parameter problem - code ${code}`;
    case 13:
      return `time stamp query id ${line.u16(at + 4)} seq ${line.u16(at + 6)}`;
    case 14: {
      const [org, recv, xmit] = [8, 12, 16].map((offset) => timeOfDay(line.u32(at + offset)));
      const id = line.u16(at + 4);
      return `time stamp reply id ${id} seq ${line.u16(at + 6)}: org ${org}, recv ${recv}, xmit ${xmit}`;
    }
    case 18:
      return `address mask is 0x${line
        .u32(at + 8)
        .toString(16)
        .padStart(8, '0')}`;
    default:
      return TYPES[type] ?? `type-#${type}`;
  }
}

function unreachable(line: Line, at: number, code: number): string {
  const quoted = at + 8;
  const destination = ipv4Address(line, at + IP_DESTINATION);
  switch (code) {
    case 2:
      return `${destination} protocol ${line.u8(quoted + 9)} unreachable`;
    case 3: {
      const port = line.u16(quoted + (line.u8(quoted) & 15) * 4 + 2);
      const protocol = line.u8(quoted + 9);
      if (protocol === 6) return `${destination} tcp port ${port} unreachable`;
      if (protocol === 17) return `${destination} udp port ${port} unreachable`;
      return `${destination} protocol ${protocol} port ${port} unreachable`;
    }
    case 4: {
      const mtu = line.u16(at + 6);
      return `${destination} unreachable - need to frag${mtu === 0 ? '' : ` (mtu ${mtu})`}`;
    }
    default:
      return (UNREACHABLE[code] ?? `@ unreachable - #${code}`).replace('@', destination);
  }
}

/** A router's lifetime, its addresses and how much each is preferred. */
function advertisement(line: Line, at: number): string {
  const lifetime = line.u16(at + 6);
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes, seconds] = [Math.floor(lifetime / 3600), Math.floor(lifetime / 60) % 60, lifetime % 60];
  let duration = `${lifetime}`;
  if (hours > 0) duration = `${hours}:${two(minutes)}:${two(seconds)}`;
  else if (minutes > 0) duration = `${minutes}:${two(seconds)}`;
  const count = line.u8(at + 4);
  const words = line.u8(at + 5);
  let text = `router advertisement lifetime ${duration} ${count}:`;
  if (words !== 2) return `${text} [size ${words}]`;
  for (let i = 0; i < count; i++) text += ` {${ipv4Address(line, at + 8 + 8 * i)} ${line.u32(at + 12 + 8 * i)}}`;
  return text;
}

/** Milliseconds since midnight. */
function timeOfDay(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const clock = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return `${clock}.${String(ms % 1000).padStart(3, '0')}`;
}
