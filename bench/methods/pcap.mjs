// libpcap, and what is built on it.
import { native, npm, ringtap, tool } from '../lib/receivers.mjs';

export const name = 'pcap';
export const receivers = [
  ringtap('ringtap pcap:', (iface) => `pcap:${iface}`),
  native('libpcap in C', 'peer-pcaplive'),
  tool('tcpdump'),
  tool('dumpcap'),
  npm('pcap'),
  npm('cap'),
];
export const goals = [{ figure: 'cost', at: 'flat out', ours: 'ringtap pcap:', peer: 'libpcap in C' }];
