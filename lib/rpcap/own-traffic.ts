// The filter that a capture's own connections do not pass. WHY: over the interface that they go by each packet that is
// sent would be captured, and be sent: without end.
import { isIPv6 } from 'node:net';
import type { NativeSession } from '../native/native.js';
import type { Control } from './control.js';

/** How packets come: at a port of one of the two, or by a TCP connection whose ports are not known yet. */
export interface OwnWay {
  readonly port: number | undefined;
  readonly datagrams: boolean;
}

const ETHERNET = 1;
const WORDS = 4; // code, jt, jf, k
const [LD, LDX, JA, RET] = [0x00, 0x01, 0x05, 0x06];

/** What the connections of a capture are not, as a program; empty where nothing is left out. */
export async function ownTraffic(control: Control, session: NativeSession, way: OwnWay): Promise<Uint32Array> {
  try {
    return await session.remoteCompile(withoutOwn(endsOf(control), way, session.info().linkType === ETHERNET));
  } catch {
    return new Uint32Array(); // of a link type without addresses, which carries no connection
  }
}

/** Addresses and ports of a control connection. */
export interface Ends {
  readonly local: string;
  readonly peer: string;
  readonly ports: readonly [local: number, peer: number];
}

function endsOf({ local, peer, ports }: Control): Ends {
  const [[ours = ''], [theirs = '']] = [local.split('%'), peer.split('%')];
  return { local: ours, peer: theirs, ports };
}

/** The same as an expression. */
export function withoutOwn({ local, peer, ports }: Ends, { port, datagrams }: OwnWay, isEthernet: boolean): string {
  const between = `host ${peer} and host ${local}`;
  const own = [`(tcp and ${between} and port ${ports[0]} and port ${ports[1]})`];
  if (port === undefined) own.push(`(tcp and ${between})`);
  else own.push(`(${datagrams ? 'udp' : 'tcp'} and ${between} and port ${port})`);
  // WHY: of a datagram in fragments only the first has the ports.
  const fragment = isIPv6(peer) ? 'ip6 proto 44' : 'ip proto 17 and ip[6:2] & 0x1fff != 0';
  if (datagrams) own.push(`(src host ${peer} and dst host ${local} and ${fragment})`);
  const any = own.join(' or ');
  return isEthernet ? `not (${any} or (vlan and (${any} or (vlan and (${any})))))` : `not (${any})`;
}

/** A program that accepts what both accept, and as much of it as the second one. */
export function conjunction(first: Uint32Array, second: Uint32Array): Uint32Array {
  if (first.length === 0) return second;
  // What it begins with is what a program may rely on: A and X are 0.
  const zero = [LD, 0, 0, 0, LDX, 0, 0, 0];
  const count = first.length / WORDS;
  const joined = Uint32Array.from([...first, ...zero, ...second]);
  for (let i = 0; i < count; i++) {
    const at = i * WORDS;
    if (joined[at] === RET && joined[at + 3] !== 0) joined.set([JA, 0, 0, count - i - 1], at);
  }
  return joined;
}
