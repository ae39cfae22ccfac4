import { DecodeFlags } from '../../decode/index.js';
import { type Endpoints, ports } from './endpoints.js';
import type { Line } from './line.js';

const HEADER = 8;
const MAX_STATED = 65535;
/** Where the length is not simply that of the payload. */
const NOT_PLAIN = DecodeFlags.fragment | DecodeFlags.cut | DecodeFlags.noRoom | DecodeFlags.badLength;

/** @param isFragment whether the stated length is that of a whole of which this is a part */
export function udp(line: Line, at: number, length: number, isFragment: boolean, ends: Endpoints | undefined): void {
  line.protocol = 'udp';
  ports(line, at, ends, ' ');
  if ((line.flags & NOT_PLAIN) !== 0) {
    strange(line, at, length, isFragment);
    return;
  }
  line.need(at, HEADER);
  line.text += `UDP, length ${line.headers.payloadLength[line.index]!}`;
}

function strange(line: Line, at: number, length: number, isFragment: boolean): void {
  if (length < HEADER) {
    line.text += `truncated-udp ${length}`;
    return;
  }
  const stated = line.u16(at + 4);
  // Jumbograms (RFC 2675) and segmentation offload do not say.
  const udpLength = stated === 0 && (length > MAX_STATED || line.isOffloaded) ? length : stated;
  if (udpLength < HEADER) {
    line.text += `truncated-udplength ${udpLength}`;
    return;
  }
  line.need(at, HEADER);
  const isBad = udpLength > length && !isFragment;
  line.text += isBad
    ? `UDP, bad length ${udpLength - HEADER} > ${length - HEADER}`
    : `UDP, length ${udpLength - HEADER}`;
}
