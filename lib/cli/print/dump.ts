// The bytes of a packet, as `tcpdump -x`, `-X` and `-A` print them.

export interface DumpStyle {
  readonly hex: boolean;
  readonly ascii: boolean;
  /** Whether the link header is dumped, too. */
  readonly fromLink: boolean;
}

const PER_LINE = 16;
/** Two bytes are five columns. */
const HEX_WIDTH = (PER_LINE / 2) * 5;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** What follows the line of a packet: lines, each with its end. */
export function dump(bytes: Uint8Array, from: number, end: number, { hex, ascii }: DumpStyle): string {
  if (!hex) return `${plain(bytes, from, end)}\n`;
  let text = '';
  for (let at = from; at < end; at += PER_LINE) {
    const to = Math.min(at + PER_LINE, end);
    let row = '';
    for (let i = at; i < to; i++) row += ((i - at) & 1) === 0 ? ` ${HEX[bytes[i]!]!}` : HEX[bytes[i]!]!;
    const offset = (at - from).toString(16).padStart(4, '0');
    text += `\t0x${offset}: ${ascii ? `${row.padEnd(HEX_WIDTH)}  ${graphic(bytes, at, to)}` : row}\n`;
  }
  return text;
}

function graphic(bytes: Uint8Array, from: number, end: number): string {
  let text = '';
  for (let i = from; i < end; i++) text += isGraphic(bytes[i]!) ? String.fromCharCode(bytes[i]!) : '.';
  return text;
}

function isGraphic(byte: number): boolean {
  return byte > 0x20 && byte < 0x7f;
}

/** With blanks, tabs and line ends as they are; a carriage return before a line end is left out. */
function plain(bytes: Uint8Array, from: number, end: number): string {
  let text = '';
  for (let i = from; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === 0x0d) {
      if (i + 1 < end && bytes[i + 1] !== 0x0a) text += '.';
    } else {
      text += isGraphic(byte) || byte === 0x20 || byte === 0x09 || byte === 0x0a ? String.fromCharCode(byte) : '.';
    }
  }
  return text;
}
