import { type Endpoints, ports } from './endpoints.js';
import type { Frame } from './frame.js';

const HEADER = 8;
const MAX_STATED = 65535;

export function udp(frame: Frame, at: number, length: number, isFragment: boolean, ends: Endpoints | undefined): void {
  frame.protocol = 'udp';
  if (!frame.has(at, 4)) {
    if (ends !== undefined) frame.text += `${ends.source} > ${ends.destination}: `;
    frame.need(at, 4);
  }
  ports(frame, at, ends);
  if (length < HEADER) {
    frame.text += `truncated-udp ${length}`;
    return;
  }
  const stated = frame.u16(at + 4);
  // Jumbograms (RFC 2675) and segmentation offload do not say.
  const udpLength = stated === 0 && (length > MAX_STATED || frame.isOffloaded) ? length : stated;
  if (udpLength < HEADER) {
    frame.text += `truncated-udplength ${udpLength}`;
    return;
  }
  frame.need(at, HEADER);
  const isBad = udpLength > length && !isFragment;
  frame.text += isBad
    ? `UDP, bad length ${udpLength - HEADER} > ${length - HEADER}`
    : `UDP, length ${udpLength - HEADER}`;
}
