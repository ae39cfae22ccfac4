// AF_PACKET: who is measured, and what ringtap has to reach beside them.
import { native, ringtap, tool } from '../lib/receivers.mjs';

export const name = 'afpacket';
export const receivers = [
  ringtap('ringtap afpacket:', (iface) => `afpacket:${iface}`),
  native('TPACKET_V3 in C', 'peer-tpacket3'),
  tool('netsniff-ng'),
  tool('tracestats'),
];
/** For latency only: the default lets packets gather for 10 ms. */
export const prompt = ringtap('ringtap afpacket:?timeoutMs=1', (iface) => `afpacket:${iface}?timeoutMs=1`);
export const goals = [
  { figure: 'cost', at: 'flat out', ours: 'ringtap afpacket:', peer: 'TPACKET_V3 in C', most: 1.5 },
  { figure: 'cost', at: 'flat out', ours: 'ringtap afpacket:', peer: 'libpcap in C', most: 1 },
  { figure: 'lost', at: 'flat out', ours: 'ringtap afpacket:', peer: 'TPACKET_V3 in C' },
  { figure: 'lost', at: 'flat out', ours: 'ringtap afpacket:', peer: 'libpcap in C' },
];
