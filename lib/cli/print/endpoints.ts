import { DecodeFlags } from '../../decode/index.js';
import { type Line, TRUNCATED } from './line.js';

/** Who talks to whom: addresses, which the protocols with ports print together with them. */
export interface Endpoints {
  readonly source: string;
  readonly destination: string;
}

/**
 * "10.0.0.1.1024 > 10.0.0.2.53: ", or the ports alone where the addresses were printed before.
 * @param cut what follows the addresses where the ports were not captured
 */
export function ports(line: Line, at: number, ends: Endpoints | undefined, cut: string): void {
  if ((line.flags & DecodeFlags.ports) === 0 || !line.has(at, 4)) {
    if (ends !== undefined) line.text += `${ends.source} > ${ends.destination}:${cut}`;
    throw TRUNCATED;
  }
  const source = line.headers.srcPort[line.index]!;
  const destination = line.headers.dstPort[line.index]!;
  line.text +=
    ends === undefined
      ? `${source} > ${destination}: `
      : `${ends.source}.${source} > ${ends.destination}.${destination}: `;
}
