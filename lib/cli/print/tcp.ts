import { DecodeFlags } from '../../decode/index.js';
import { hex } from './address.js';
import { type Endpoints, ports } from './endpoints.js';
import { type Line, TRUNCATED } from './line.js';

const HEADER = 20;
const FLAG_LETTERS = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W'];
const FLAG = { fin: 1, syn: 2, rst: 4, ack: 16, urg: 32 } as const;
const FLAGS = Array.from(
  { length: 256 },
  (_, flags) => FLAG_LETTERS.filter((_, bit) => flags & (1 << bit)).join('') || 'none',
);

/** FIN, SYN … as tcpdump writes them. */
export function flagLetters(flags: number): string {
  return FLAGS[flags & 255]!;
}

/** Sequence numbers are absolute, as `tcpdump -S` prints them: each line stands for itself. */
export function tcp(line: Line, at: number, length: number, ends: Endpoints | undefined): void {
  line.protocol = 'tcp';
  ports(line, at, ends, '');
  const { headers, index, flags: verdict } = line;
  if ((verdict & DecodeFlags.tcp) === 0) throw TRUNCATED;
  line.need(at, HEADER);
  const flags = headers.tcpFlags[index]!;
  if ((verdict & DecodeFlags.badHeaderLength) !== 0) {
    badHeaderLength(line, (line.u8(at + 12) >> 4) * 4, length, flags);
    return;
  }
  const dataLength = headers.payloadLength[index]!;
  const sequence = headers.sequence[index]!;
  let text = `Flags [${FLAGS[flags]}]`;
  if (dataLength > 0) text += `, seq ${sequence}:${(sequence + dataLength) >>> 0}`;
  else if (flags & (FLAG.syn | FLAG.fin | FLAG.rst)) text += `, seq ${sequence}`;
  if (flags & FLAG.ack) text += `, ack ${headers.acknowledgment[index]!}`;
  text += `, win ${headers.window[index]!}`;
  if (flags & FLAG.urg) text += `, urg ${line.u16(at + 18)}`;
  line.text += text;
  const headerLength = length - dataLength;
  if (headerLength > HEADER) {
    line.text += ', options [';
    if (!tcpOptions(line, at + HEADER, at + headerLength)) {
      line.text += '[bad opt]';
      return;
    }
    line.text += ']';
  }
  line.text += `, length ${dataLength}`;
}

function badHeaderLength(line: Line, headerLength: number, length: number, flags: number): void {
  if (headerLength < HEADER) {
    const rest = (length - headerLength) >>> 0;
    line.text += ` tcp ${rest} [bad hdr length ${headerLength} - too short, < ${HEADER}]`;
  } else {
    line.text += `Flags [${FLAGS[flags]}] [bad hdr length ${headerLength} - too long, > ${length}]`;
  }
}

/** The option list up to its end mark; false where a length does not fit. */
export function tcpOptions(line: Line, from: number, end: number): boolean {
  for (let at = from; at < end; ) {
    if (at > from) line.text += ',';
    const kind = line.u8(at);
    if (kind === 0 || kind === 1) {
      line.text += kind === 0 ? 'eol' : 'nop';
      if (kind === 0) return true;
      at++;
      continue;
    }
    const length = line.u8(at + 1);
    if (length < 2 || at + length > end) return false;
    option(line, kind, at + 2, length - 2);
    at += length;
  }
  return true;
}

// The name goes first and on its own: it stays when the captured bytes end in the value.
function option(line: Line, kind: number, at: number, length: number): void {
  if (kind === 2 && length === 2) {
    line.text += 'mss';
    line.text += ` ${line.u16(at)}`;
  } else if (kind === 3 && length === 1) {
    line.text += 'wscale';
    line.text += ` ${line.u8(at)}`;
  } else if (kind === 4 && length === 0) {
    line.text += 'sackOK';
  } else if (kind === 5 && length % 8 === 0) {
    line.text += `sack ${length / 8} `;
    for (let i = 0; i < length; i += 8) line.text += `{${line.u32(at + i)}:${line.u32(at + i + 4)}}`;
  } else if (kind === 8 && length === 8) {
    line.text += 'TS';
    line.text += ` val ${line.u32(at)} ecr ${line.u32(at + 4)}`;
  } else {
    line.text += `unknown-${kind}`;
    if (length > 0) line.text += ` 0x${hex(line, at, length)}`;
  }
}
