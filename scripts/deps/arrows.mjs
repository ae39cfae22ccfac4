// Which room may use which. docs/architecture.md draws it; check-deps.mjs holds the sources to it. A room that is not there
// yet is listed all the same: its arrows are decided.

/** native/<layer> → the layers whose headers it may include, besides its own. */
export const LAYERS = {
  core: ['generated'],
  linux: ['core'],
  filter: ['core'],
  decode: ['core'],
  format: ['core'],
  io: ['core'],
  write: ['core', 'format', 'io'],
  serve: ['core', 'filter', 'format', 'io'],
  libpcap: ['core', 'filter'],
  flow: ['core', 'decode'],
  export: ['core', 'flow'],
  protocol: ['core', 'decode', 'flow', 'generated'],
  stages: ['core', 'decode', 'filter'],
  rewrite: ['core', 'decode'],
  replay: ['core', 'decode', 'rewrite'],
  forward: ['core', 'decode', 'filter', 'rewrite'],
  backends: [
    ...['core', 'linux', 'filter', 'decode', 'format', 'io', 'libpcap'],
    ...['flow', 'protocol', 'stages', 'forward', 'generated'],
  ],
  addon: [
    ...['core', 'linux', 'filter', 'decode', 'format', 'io', 'write', 'serve', 'libpcap'],
    ...['flow', 'export', 'protocol', 'stages', 'rewrite', 'replay', 'forward', 'backends', 'generated'],
  ],
};

/** Layers of one folder for each method or protocol, which know nothing of their siblings. */
export const SEPARATE = ['backends', 'protocol'];

/** What tests and fuzz targets see: everything but the addon, for they run without Node. */
export const BESIDE = [...Object.keys(LAYERS).filter((layer) => layer !== 'addon'), 'generated', 'test', 'fuzz'];

const BASE = ['errors', 'native', 'generated'];
const CAPTURE = [...BASE, 'uri', 'plan', 'capture'];

/**
 * lib/<room> or lib/<room>.ts → the rooms that it may import at run time, and those of which it may know types only. `entry`:
 * only the room's index, which is public, and what PLACES has of it.
 */
export const ROOMS = {
  generated: { uses: [] },
  errors: { uses: ['generated'] },
  native: { uses: ['errors', 'generated'], types: ['capture'] },
  uri: { uses: BASE },
  tls: { uses: [...BASE, 'uri'] },
  tcp: { uses: [...BASE, 'uri', 'tls'] },
  rpcap: { uses: [...BASE, 'uri', 'tls', 'tcp'] },
  plan: { uses: [...BASE, 'uri', 'rpcap', 'tcp'] },
  capture: { uses: [...BASE, 'uri', 'plan'], types: ['transmit'] },
  write: { uses: [...CAPTURE, 'tcp', 'tls'] },
  inline: { uses: [...CAPTURE, 'write'] },
  transmit: { uses: CAPTURE },
  remote: { uses: [...CAPTURE, 'rpcap', 'tcp', 'tls', 'write', 'transmit'] },
  serve: { uses: [...CAPTURE, 'rpcap', 'tcp', 'tls'] },
  parallel: { uses: CAPTURE },
  decode: { uses: BASE, types: ['capture'] },
  flow: { uses: [...BASE, 'decode'], types: ['capture'] },
  export: { uses: [...BASE, 'uri', 'tcp', 'tls', 'flow'], types: ['capture'] },
  streams: { uses: [...CAPTURE, 'write', 'transmit'] },
  index: { uses: [...CAPTURE, 'write', 'inline', 'transmit', 'remote', 'serve', 'parallel', 'streams'] },
  cli: { uses: ['errors', 'generated'], entry: ['index', 'decode', 'flow', 'export', 'streams'] },
};

/** Files of lib/ that belong to a room without a folder. */
export const PLACES = { 'lib/open.ts': 'index', 'lib/serve.ts': 'index', 'lib/replay.ts': 'index' };

/** What is against an arrow today and on its way out, as it is told without the line. Nothing is added here. */
export const LEFT = [];

/** Package → the packages of this repository that it may import at run time, and those of which it may know types only. */
export const PACKAGES = {
  ringtap: { uses: [] },
  '@ringtap/wire': { uses: [] },
  '@ringtap/agent': { uses: ['ringtap', '@ringtap/wire'] },
  '@ringtap/collector': { uses: ['@ringtap/wire'] },
  '@ringtap/web': { uses: [], types: ['@ringtap/wire'] },
};
