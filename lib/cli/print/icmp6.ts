import { ipv6Address } from './address.js';
import type { Frame } from './frame.js';

const TYPES: Readonly<Record<number, string>> = {
  1: 'destination unreachable',
  2: 'packet too big',
  3: 'time exceeded in-transit',
  4: 'parameter problem',
  128: 'echo request',
  129: 'echo reply',
  130: 'multicast listener query',
  131: 'multicast listener report',
  132: 'multicast listener done',
  133: 'router solicitation',
  134: 'router advertisement',
  135: 'neighbor solicitation',
  136: 'neighbor advertisement',
  137: 'redirect',
  138: 'router renumbering',
  139: 'node information query',
  140: 'node information reply',
  141: 'inverse neighbor solicitation',
  142: 'inverse neighbor advertisement',
  143: 'multicast listener report v2',
  144: 'ha discovery request',
  145: 'ha discovery reply',
  146: 'mobile router solicitation',
  147: 'mobile router advertisement',
  155: 'RPL',
  200: 'mtrace response',
  201: 'mtrace message',
};
const UNREACHABLE: readonly string[] = [
  'unreachable route',
  'unreachable prohibited',
  'beyond scope',
  'unreachable address',
  'unreachable port',
];
const PARAMETER_PROBLEM: readonly string[] = ['erroneous', 'next header', 'option', 'incomplete header chain'];
const RPL: readonly string[] = [
  'DODAG Information Solicitation',
  'DODAG Information Object',
  'Destination Advertisement Object',
  'Destination Advertisement Object Ack',
];
const QUOTED = 8; // the packet that an error message is about

export function icmp6(frame: Frame, at: number, length: number): void {
  frame.protocol = 'icmp6';
  if (length === 0) {
    frame.text += 'ICMP6, length 0 (invalid)';
    return;
  }
  const type = frame.u8(at);
  frame.text += `ICMP6, ${TYPES[type] ?? `unknown icmp6 type (${type})`}`;
  const code = frame.u8(at + 1);
  switch (type) {
    case 1:
      unreachable(frame, at, code);
      if (code >= UNREACHABLE.length) return;
      break;
    case 2:
      frame.text += `, mtu ${frame.u32(at + 4)}`;
      break;
    case 3:
      if (code === 0) frame.text += ` for ${ipv6Address(frame, at + QUOTED + 24)}`;
      else frame.text += code === 1 ? ' (reassembly)' : `, unknown code (${code})`;
      break;
    case 4: {
      frame.need(at + QUOTED + 24, 16);
      const problem = PARAMETER_PROBLEM[code];
      frame.text += problem === undefined ? `, code-#${code}` : `, ${problem} - octet ${frame.u32(at + 4)}`;
      break;
    }
    case 128:
    case 129:
      frame.text += `, id ${frame.u16(at + 4)}, seq ${frame.u16(at + 6)}`;
      break;
    case 130:
      if (length === 24) listener(frame, at);
      else if (length >= 28) listenerQuery2(frame, at);
      else frame.text += ` unknown-version (len ${length}) `;
      break;
    case 131:
    case 132:
      listener(frame, at);
      break;
    case 135:
      frame.text += `, who has ${ipv6Address(frame, at + 8)}`;
      break;
    case 136:
      frame.text += `, tgt is ${ipv6Address(frame, at + 8)}`;
      break;
    case 137:
      frame.text += `, ${ipv6Address(frame, at + 24)}`;
      frame.text += ` to ${ipv6Address(frame, at + 8)}`;
      break;
    case 143:
      frame.text += `, ${frame.u16(at + 6)} group record(s)`;
      break;
    case 144:
    case 146:
      frame.text += `, id 0x${frame
        .u16(at + 4)
        .toString(16)
        .padStart(4, '0')}`;
      break;
    case 155:
      if (code >= 128) frame.text += ', (SEC) [worktodo]';
      else frame.text += `, (CLR)${RPL[code] ?? `RPL message, unknown code ${code}`}`;
      break;
  }
  frame.text += `, length ${length}`;
}

function unreachable(frame: Frame, at: number, code: number): void {
  frame.text += `, ${UNREACHABLE[code] ?? `unknown unreach code (${code})`}`;
  const source = at + QUOTED + 8;
  const destination = at + QUOTED + 24;
  switch (code) {
    case 0:
    case 1:
    case 3:
      frame.text += ` ${ipv6Address(frame, destination)}`;
      break;
    case 2:
      frame.text += ` ${ipv6Address(frame, destination)}, source address ${ipv6Address(frame, source)}`;
      break;
    case 4: {
      const protocol = frame.u8(at + QUOTED + 6);
      const port = frame.u16(at + QUOTED + 40 + 2);
      const name = protocol === 6 ? 'tcp' : protocol === 17 ? 'udp' : `protocol ${protocol}`;
      frame.text += `, ${ipv6Address(frame, destination)} ${name} port ${port}`;
      break;
    }
  }
}

function listener(frame: Frame, at: number): void {
  frame.text += ` max resp delay: ${frame.u16(at + 4)} addr: ${ipv6Address(frame, at + 8)}`;
}

function listenerQuery2(frame: Frame, at: number): void {
  frame.text += ' v2';
  frame.text += ` [gaddr ${ipv6Address(frame, at + 8)}`;
  const sources = frame.u16(at + 26);
  frame.text += sources === 0 ? ']' : `, ${sources} source(s)]`;
}
