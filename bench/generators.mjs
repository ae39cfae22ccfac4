// What sends. Each gives the command line of a program that says READY on stderr, starts at the first line on stdin and
// prints one JSON line: { sent, bytes, seconds, pps, errors }.
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { program, SENDER_CORE } from './lib/processes.mjs';

/** Frames by the size that they have on the wire, where 4 bytes of FCS follow. */
const WITHOUT_FCS = { 64: '60', 512: '508', 1518: '1514', imix: 'imix' };

const pktgen = (method) => ({
  name: method,
  takes: ({ size }) => method !== 'xdp' || size !== 'imix',
  command: ({ iface, size, count, rate = 0, flows = 4096, stamp = false }) => [
    program('ringtap-pktgen'),
    '--wait',
    ...['--iface', iface, '--method', method, '--core', SENDER_CORE],
    ...['--size', WITHOUT_FCS[size], '--count', count, '--rate', rate, '--flows', flows],
    ...(stamp ? ['--stamp'] : []),
  ],
});

/** ringtap's own sending side: any URI that can transmit, such as afxdp:eth1 or dpdk:net_tap0. */
const transmit = (name, uri) => ({
  name,
  takes: ({ stamp }) => !stamp,
  command: ({ iface, size, count, rate = 0 }) => [
    process.execPath,
    fileURLToPath(new URL('senders/transmit.mjs', import.meta.url)),
    ...[uri(iface), WITHOUT_FCS[size], count, rate],
  ],
});

/** A command of the user's, with {rate}, {count} and {size} in it. */
const custom = (text) => ({
  name: text.split(' ')[0],
  takes: () => true,
  command: ({ size, count, rate = 0 }) => {
    const filled = text.replaceAll('{rate}', rate).replaceAll('{count}', count).replaceAll('{size}', WITHOUT_FCS[size]);
    return ['sh', '-c', `exec ${filled}`];
  },
});

const GENERATORS = [
  pktgen('xdp'),
  pktgen('txring'),
  pktgen('sendmmsg'),
  transmit('afxdp', (iface) => `afxdp:${iface}`),
  transmit('dpdk', (iface) => `dpdk:net_af_packet0?iface=${iface}`),
];

/** By name, such as xdp; a URI that transmits, such as dpdk:net_tap0; or a command. */
export function generator(name) {
  const known = GENERATORS.find((one) => one.name === name);
  if (known !== undefined) return known;
  if (/^[a-z]+:\S+$/.test(name)) return transmit(name, () => name);
  if (name.includes(' ')) return custom(name);
  const names = GENERATORS.map((one) => one.name).join(', ');
  throw new Error(`--generator ${name}: expected external, ${names}, a URI that transmits, or a command with {count}`);
}

const REPLACEMENT = 'txring';
const chosen = new Map();

/** generator(name), or txring where this host does not let `name` work, which is said. */
export function workingGenerator(name, bench) {
  if (!chosen.has(name)) chosen.set(name, choose(name, bench));
  return chosen.get(name);
}

function choose(name, bench) {
  if (name === 'dpdk' && program('peer-dpdk') === undefined) {
    bench.skip('generator dpdk', `not built, as libdpdk is missing: ${REPLACEMENT} sends instead`);
    return generator(REPLACEMENT);
  }
  if (name !== 'xdp') return generator(name);
  const argv = ['--iface', bench.wires.tx, '--method', name, '--count', '64'];
  const { status, stderr } = spawnSync(program('ringtap-pktgen'), argv, { encoding: 'utf8' });
  if (status === 0) return generator(name);
  bench.skip(`generator ${name}`, `${stderr.trim().split('\n')[0]}: ${REPLACEMENT} sends instead`);
  return generator(REPLACEMENT);
}

/** CLOCK_TAI - CLOCK_MONOTONIC in ns, as text. */
export const clockOffset = () => execFileSync(program('ringtap-pktgen'), ['--clock'], { encoding: 'utf8' }).trim();
