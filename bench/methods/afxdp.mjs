// AF_XDP. It takes the packets away from the host: nobody else sees them meanwhile.
import { native, ringtap } from '../lib/receivers.mjs';

export const name = 'afxdp';
export const receivers = [ringtap('ringtap afxdp:', (iface) => `afxdp:${iface}`), native('AF_XDP in C', 'peer-afxdp')];
export const goals = [
  { figure: 'delivered', at: 'flat out', ours: 'ringtap afxdp:', peer: 'AF_XDP in C', least: 0.95 },
  { figure: 'cost', at: '200 kpps', ours: 'ringtap afxdp:', peer: 'AF_XDP in C', most: 1.3 },
];
