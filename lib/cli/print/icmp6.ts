import { ipv6Address } from './address.js';
import type { Line } from './line.js';

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

export function icmp6(line: Line, at: number, length: number): void {
  line.protocol = 'icmp6';
  if (length === 0) {
    line.text += 'ICMP6, length 0 (invalid)';
    return;
  }
  const type = line.u8(at);
  line.text += `ICMP6, ${TYPES[type] ?? `unknown icmp6 type (${type})`}`;
  const code = line.u8(at + 1);
  switch (type) {
    case 1:
      unreachable(line, at, code);
      if (code >= UNREACHABLE.length) return;
      break;
    case 2:
      line.text += `, mtu ${line.u32(at + 4)}`;
      break;
    case 3:
      if (code === 0) line.text += ` for ${ipv6Address(line, at + QUOTED + 24)}`;
      else line.text += code === 1 ? ' (reassembly)' : `, unknown code (${code})`;
      break;
    case 4: {
      line.need(at + QUOTED + 24, 16);
      const problem = PARAMETER_PROBLEM[code];
      line.text += problem === undefined ? `, code-#${code}` : `, ${problem} - octet ${line.u32(at + 4)}`;
      break;
    }
    case 128:
    case 129:
      line.text += `, id ${line.u16(at + 4)}, seq ${line.u16(at + 6)}`;
      break;
    case 130:
      if (length === 24) listener(line, at);
      else if (length >= 28) listenerQuery2(line, at);
      else line.text += ` unknown-version (len ${length}) `;
      break;
    case 131:
    case 132:
      listener(line, at);
      break;
    case 135:
      line.text += `, who has ${ipv6Address(line, at + 8)}`;
      break;
    case 136:
      line.text += `, tgt is ${ipv6Address(line, at + 8)}`;
      break;
    case 137:
      line.text += `, ${ipv6Address(line, at + 24)}`;
      line.text += ` to ${ipv6Address(line, at + 8)}`;
      break;
    case 143:
      line.text += `, ${line.u16(at + 6)} group record(s)`;
      break;
    case 144:
    case 146:
      line.text += `, id 0x${line
        .u16(at + 4)
        .toString(16)
        .padStart(4, '0')}`;
      break;
    case 155:
      if (code >= 128) line.text += ', (SEC) [worktodo]';
      else line.text += `, (CLR)${RPL[code] ?? `RPL message, unknown code ${code}`}`;
      break;
  }
  line.text += `, length ${length}`;
}

function unreachable(line: Line, at: number, code: number): void {
  line.text += `, ${UNREACHABLE[code] ?? `unknown unreach code (${code})`}`;
  const source = at + QUOTED + 8;
  const destination = at + QUOTED + 24;
  switch (code) {
    case 0:
    case 1:
    case 3:
      line.text += ` ${ipv6Address(line, destination)}`;
      break;
    case 2:
      line.text += ` ${ipv6Address(line, destination)}, source address ${ipv6Address(line, source)}`;
      break;
    case 4: {
      const protocol = line.u8(at + QUOTED + 6);
      const port = line.u16(at + QUOTED + 40 + 2);
      const name = protocol === 6 ? 'tcp' : protocol === 17 ? 'udp' : `protocol ${protocol}`;
      line.text += `, ${ipv6Address(line, destination)} ${name} port ${port}`;
      break;
    }
  }
}

function listener(line: Line, at: number): void {
  line.text += ` max resp delay: ${line.u16(at + 4)} addr: ${ipv6Address(line, at + 8)}`;
}

function listenerQuery2(line: Line, at: number): void {
  line.text += ' v2';
  line.text += ` [gaddr ${ipv6Address(line, at + 8)}`;
  const sources = line.u16(at + 26);
  line.text += sources === 0 ? ']' : `, ${sources} source(s)]`;
}
