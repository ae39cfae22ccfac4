import { ipv4Address, mac } from './address.js';
import { ETHERTYPES } from './ethertypes.js';
import type { Line } from './line.js';

const IPV4 = 0x0800;
const TRAILERS = 0x1000; // IPv4, too (RFC 893)
const HARDWARE: Readonly<Record<number, string>> = {
  1: 'Ethernet',
  6: 'TokenRing',
  7: 'ArcNet',
  15: 'FrameRelay',
  19: 'ATM',
  23: 'Strip',
  24: 'IEEE 1394',
  32: 'InfiniBand',
};
const OPERATIONS: Readonly<Record<number, string>> = {
  1: 'Request',
  2: 'Reply',
  3: 'Reverse Request',
  4: 'Reverse Reply',
  8: 'Inverse Request',
  9: 'Inverse Reply',
  10: 'NACK Reply',
};

/** ARP and its reverse and inverse kin, for IPv4 over anything with short hardware addresses. */
export function arp(line: Line, at: number, length: number): void {
  line.protocol = 'arp';
  line.need(at, 8);
  const hardwareLength = line.u8(at + 4);
  const senderHardware = at + 8;
  const senderIp = senderHardware + hardwareLength;
  const targetHardware = senderIp + 4;
  const targetIp = targetHardware + hardwareLength;
  const operation = line.u16(at + 6);
  const protocol = line.u16(at + 2);
  const protocolLength = line.u8(at + 5);
  line.need(at, 8 + 2 * (hardwareLength + protocolLength));
  if (!line.showLink) line.text += 'ARP, ';
  if ((protocol !== IPV4 && protocol !== TRAILERS) || protocolLength !== 4 || hardwareLength === 0) {
    const type = line.u16(at);
    const hardware = HARDWARE[type] ?? `Unknown Hardware (${type})`;
    const name = ETHERTYPES[protocol] ?? `Unknown Protocol (0x${protocol.toString(16).padStart(4, '0')})`;
    line.text += `${hardware} (len ${hardwareLength}), ${name} (len ${protocolLength}), length ${length}`;
    return;
  }
  line.text += OPERATIONS[operation] ?? `Unknown (${operation})`;
  const hardware = (where: number) => mac(line, where, hardwareLength);
  switch (operation) {
    case 1: {
      const hint = isZero(line, targetHardware, hardwareLength) ? '' : ` (${hardware(targetHardware)})`;
      line.text += ` who-has ${ipv4Address(line, targetIp)}${hint} tell ${ipv4Address(line, senderIp)}`;
      break;
    }
    case 2:
      line.text += ` ${ipv4Address(line, senderIp)} is-at ${hardware(senderHardware)}`;
      break;
    case 3:
    case 8:
      line.text += ` who-is ${hardware(targetHardware)} tell ${hardware(senderHardware)}`;
      break;
    case 4:
      line.text += ` ${hardware(targetHardware)} at ${ipv4Address(line, targetIp)}`;
      break;
    case 9:
      line.text += ` ${hardware(senderHardware)} at ${ipv4Address(line, senderIp)}`;
      break;
    default:
      return;
  }
  line.text += `, length ${length}`;
}

function isZero(line: Line, at: number, bytes: number): boolean {
  for (let i = 0; i < bytes; i++) if (line.u8(at + i) !== 0) return false;
  return true;
}
