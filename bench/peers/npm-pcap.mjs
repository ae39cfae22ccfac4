// node npm-pcap.mjs INTERFACE WARMUP COUNT: the npm package pcap.
import { load, measure } from './npm.mjs';

const pcap = load('pcap');

measure((iface, onPacket) => {
  const session = pcap.createSession(iface, {
    filter: '',
    buffer_size: 64 << 20,
    buffer_timeout: 10,
    snap_length: 65535,
  });
  session.on('packet', ({ buf, header }) => onPacket(buf, header.readUInt32LE(8)));
});
