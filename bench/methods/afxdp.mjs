// AF_XDP. It takes the packets away from the host: nobody else sees them meanwhile.
import { native, ringtap, tool } from '../lib/receivers.mjs';

export const name = 'afxdp';
const ours = 'ringtap afxdp:';
/** Does as much as the peer: without a stamp that the sender's core, which runs the XDP program, has to make. */
const unstamped = 'ringtap afxdp:?timestamp=user';
/** Waits in poll() as the peer does, which a worker may. */
const blocking = 'ringtap afxdp:?timestamp=user, nextSync()';
const peer = 'AF_XDP in C';
const testpmd = 'testpmd on net_af_xdp';
const libtrace = 'libtrace xdp:';
export const receivers = [
  ringtap(ours, (iface) => `afxdp:${iface}`),
  ringtap(unstamped, (iface) => `afxdp:${iface}?timestamp=user`),
  ringtap(blocking, (iface) => `afxdp:${iface}?timestamp=user`, '--sync'),
  native(peer, 'peer-afxdp'),
  tool(testpmd, 'dpdk-testpmd'),
  tool(libtrace, 'tracestats'),
];
export const goals = [
  { figure: 'delivered', at: 'flat out', ours, peer, least: 0.95 },
  { figure: 'delivered', at: 'flat out', ours: unstamped, peer, least: 0.95 },
  ...[testpmd, libtrace].flatMap((other) => [
    { figure: 'delivered', at: 'flat out', ours, peer: other, least: 1 },
    { figure: 'delivered', at: 'flat out', ours: unstamped, peer: other, least: 1 },
    { figure: 'cost', at: 'flat out', ours, peer: other, most: 1 },
  ]),
  { figure: 'cost', at: 'flat out', ours, peer },
  { figure: 'cost', at: '200 kpps', ours, peer, most: 1.3 },
  { figure: 'cost', at: '200 kpps', ours: unstamped, peer, most: 1.3 },
  { figure: 'cost', at: '200 kpps', ours: blocking, peer, most: 1.3 },
];
