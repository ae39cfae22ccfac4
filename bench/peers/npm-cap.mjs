// node npm-cap.mjs INTERFACE WARMUP COUNT: the npm package cap.
import { load, measure } from './npm.mjs';

const BUFFER_BYTES = 64 << 20;
const { Cap } = load('cap');

measure((iface, onPacket) => {
  const cap = new Cap();
  const buffer = Buffer.alloc(65535);
  cap.open(iface, '', BUFFER_BYTES, buffer);
  cap.setMinBytes?.(0);
  cap.on('packet', (length) => onPacket(buffer, length));
});
