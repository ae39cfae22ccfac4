// DPDK on an interface, by the driver that reads through AF_PACKET: what the kernel and the driver take is in the figures.
import { ringtap } from '../lib/receivers.mjs';

export const name = 'dpdk';
/** The kernel's ring holds 128 MiB; what it has no room for, the driver does not count, and the frames' numbers tell. */
const uri = (iface) => `dpdk:net_af_packet0?iface=${iface}&blocksz=4096&framesz=2048&framecnt=65536&hugePages=off`;
const ours = 'ringtap dpdk:net_af_packet';
export const receivers = [ringtap(ours, uri)];
export const goals = [
  { figure: 'cost', at: 'flat out', ours, peer: 'TPACKET_V3 in C' },
  { figure: 'cost', at: '200 kpps', ours, peer: 'TPACKET_V3 in C' },
];
