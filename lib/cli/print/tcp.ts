import { hex } from './address.js';
import { type Endpoints, ports } from './endpoints.js';
import type { Frame } from './frame.js';

const HEADER = 20;
const FLAG_LETTERS = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W'];
const FLAG = { fin: 1, syn: 2, rst: 4, ack: 16, urg: 32 } as const;
const FLAGS = Array.from(
  { length: 256 },
  (_, flags) => FLAG_LETTERS.filter((_, bit) => flags & (1 << bit)).join('') || 'none',
);

/** Sequence numbers are absolute, as `tcpdump -S` prints them: each line stands for itself. */
export function tcp(frame: Frame, at: number, length: number, ends: Endpoints | undefined): void {
  frame.protocol = 'tcp';
  if (!frame.has(at, 4)) {
    if (ends !== undefined) frame.text += `${ends.source} > ${ends.destination}:`;
    frame.need(at, 4);
  }
  ports(frame, at, ends);
  frame.need(at, HEADER);
  const headerLength = (frame.u8(at + 12) >> 4) * 4;
  if (headerLength < HEADER) {
    const rest = (length - headerLength) >>> 0;
    frame.text += ` tcp ${rest} [bad hdr length ${headerLength} - too short, < ${HEADER}]`;
    return;
  }
  const sequence = frame.u32(at + 4);
  const acknowledged = frame.u32(at + 8);
  const window = frame.u16(at + 14);
  const urgent = frame.u16(at + 18);
  const flags = frame.u8(at + 13);
  frame.text += `Flags [${FLAGS[flags]}]`;
  if (headerLength > length) {
    frame.text += ` [bad hdr length ${headerLength} - too long, > ${length}]`;
    return;
  }
  const dataLength = length - headerLength;
  if (dataLength > 0) frame.text += `, seq ${sequence}:${(sequence + dataLength) >>> 0}`;
  else if (flags & (FLAG.syn | FLAG.fin | FLAG.rst)) frame.text += `, seq ${sequence}`;
  if (flags & FLAG.ack) frame.text += `, ack ${acknowledged}`;
  frame.text += `, win ${window}`;
  if (flags & FLAG.urg) frame.text += `, urg ${urgent}`;
  if (headerLength > HEADER) {
    frame.text += ', options [';
    if (!options(frame, at + HEADER, at + headerLength)) {
      frame.text += '[bad opt]';
      return;
    }
    frame.text += ']';
  }
  frame.text += `, length ${dataLength}`;
}

/** The option list up to its end mark; false where a length does not fit. */
function options(frame: Frame, from: number, end: number): boolean {
  for (let at = from; at < end; ) {
    if (at > from) frame.text += ',';
    const kind = frame.u8(at);
    if (kind === 0 || kind === 1) {
      frame.text += kind === 0 ? 'eol' : 'nop';
      if (kind === 0) return true;
      at++;
      continue;
    }
    const length = frame.u8(at + 1);
    if (length < 2 || at + length > end) return false;
    option(frame, kind, at + 2, length - 2);
    at += length;
  }
  return true;
}

// The name goes first and on its own: it stays when the captured bytes end in the value.
function option(frame: Frame, kind: number, at: number, length: number): void {
  if (kind === 2 && length === 2) {
    frame.text += 'mss';
    frame.text += ` ${frame.u16(at)}`;
  } else if (kind === 3 && length === 1) {
    frame.text += 'wscale';
    frame.text += ` ${frame.u8(at)}`;
  } else if (kind === 4 && length === 0) {
    frame.text += 'sackOK';
  } else if (kind === 5 && length % 8 === 0) {
    frame.text += `sack ${length / 8} `;
    for (let i = 0; i < length; i += 8) frame.text += `{${frame.u32(at + i)}:${frame.u32(at + i + 4)}}`;
  } else if (kind === 8 && length === 8) {
    frame.text += 'TS';
    frame.text += ` val ${frame.u32(at)} ecr ${frame.u32(at + 4)}`;
  } else {
    frame.text += `unknown-${kind}`;
    if (length > 0) frame.text += ` 0x${hex(frame, at, length)}`;
  }
}
