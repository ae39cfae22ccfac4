import { ipv4Address, mac } from './address.js';
import { ETHERTYPES } from './ethertypes.js';
import type { Frame } from './frame.js';

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
export function arp(frame: Frame, at: number, length: number): void {
  frame.protocol = 'arp';
  frame.need(at, 8);
  const hardwareLength = frame.u8(at + 4);
  const senderHardware = at + 8;
  const senderIp = senderHardware + hardwareLength;
  const targetHardware = senderIp + 4;
  const targetIp = targetHardware + hardwareLength;
  const operation = frame.u16(at + 6);
  const protocol = frame.u16(at + 2);
  const protocolLength = frame.u8(at + 5);
  frame.need(at, 8 + 2 * (hardwareLength + protocolLength));
  if (!frame.showLink) frame.text += 'ARP, ';
  if ((protocol !== IPV4 && protocol !== TRAILERS) || protocolLength !== 4 || hardwareLength === 0) {
    const type = frame.u16(at);
    const hardware = HARDWARE[type] ?? `Unknown Hardware (${type})`;
    const name = ETHERTYPES[protocol] ?? `Unknown Protocol (0x${protocol.toString(16).padStart(4, '0')})`;
    frame.text += `${hardware} (len ${hardwareLength}), ${name} (len ${protocolLength}), length ${length}`;
    return;
  }
  frame.text += OPERATIONS[operation] ?? `Unknown (${operation})`;
  const hardware = (where: number) => mac(frame, where, hardwareLength);
  switch (operation) {
    case 1: {
      const hint = isZero(frame, targetHardware, hardwareLength) ? '' : ` (${hardware(targetHardware)})`;
      frame.text += ` who-has ${ipv4Address(frame, targetIp)}${hint} tell ${ipv4Address(frame, senderIp)}`;
      break;
    }
    case 2:
      frame.text += ` ${ipv4Address(frame, senderIp)} is-at ${hardware(senderHardware)}`;
      break;
    case 3:
    case 8:
      frame.text += ` who-is ${hardware(targetHardware)} tell ${hardware(senderHardware)}`;
      break;
    case 4:
      frame.text += ` ${hardware(targetHardware)} at ${ipv4Address(frame, targetIp)}`;
      break;
    case 9:
      frame.text += ` ${hardware(senderHardware)} at ${ipv4Address(frame, senderIp)}`;
      break;
    default:
      return;
  }
  frame.text += `, length ${length}`;
}

function isZero(frame: Frame, at: number, bytes: number): boolean {
  for (let i = 0; i < bytes; i++) if (frame.u8(at + i) !== 0) return false;
  return true;
}
