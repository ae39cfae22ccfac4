import type { Frame } from './frame.js';

/** Who talks to whom: addresses, which the protocols with ports print together with them. */
export interface Endpoints {
  readonly source: string;
  readonly destination: string;
}

/** "10.0.0.1.1024 > 10.0.0.2.53: ", or the ports alone where the addresses were printed before. */
export function ports(frame: Frame, at: number, ends: Endpoints | undefined): void {
  const source = frame.u16(at);
  const destination = frame.u16(at + 2);
  frame.text +=
    ends === undefined
      ? `${source} > ${destination}: `
      : `${ends.source}.${source} > ${ends.destination}.${destination}: `;
}
