// node tool.mjs NAME INTERFACE WARMUP COUNT: measures a capture program that knows nothing of benchmarks. It is asked to
// end when the last frame was sent, and its own count is believed.
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

const BUFFER_MIB = 64;
const POLL_MS = 20;
const OPEN_MS = 300; // from opening its socket to capturing
const READ_MS = 1200; // from the last frame to having read it: libpcap's default timeout is a second

const hasSocket = () => readFileSync('/proc/net/packet', 'utf8').trim().split('\n').length > 1;
const hasXdp = (iface) => execFileSync('ip', ['link', 'show', 'dev', iface], { encoding: 'utf8' }).includes('prog/xdp');

/**
 * Arguments, and where in its output the packets and the loss are. Where it is not so: the program's name, and how to
 * tell that it captures.
 */
const TOOLS = {
  tcpdump: {
    args: (iface) => ['-i', iface, '-n', '-B', BUFFER_MIB * 1024, '-w', '/dev/null'],
    packets: /(\d+) packets captured/,
    dropped: /(\d+) packets dropped by kernel/,
  },
  dumpcap: {
    args: (iface) => ['-i', iface, '-q', '-B', BUFFER_MIB, '-w', '/dev/null'],
    packets: /Packets captured: (\d+)/,
    dropped: /Packets received\/dropped on interface[^:]*: \d+\/(\d+)/,
  },
  'netsniff-ng': {
    args: (iface) => ['--in', iface, '--out', '/dev/null', '--silent', '--ring-size', `${BUFFER_MIB}MiB`],
    packets: /(\d+)\s+packets passed filter/,
    dropped: /(\d+)\s+packets failed filter/,
  },
  tracestats: {
    args: (iface) => [`ring:${iface}`],
    packets: /Total:\s+(\d+)/,
    dropped: /Dropped packets:\s+(\d+)/,
  },
  'libtrace xdp:': {
    program: 'tracestats',
    args: (iface) => [`xdp:${iface}`],
    ready: hasXdp,
    packets: /Total:\s+(\d+)/,
    dropped: /Dropped packets:\s+(\d+)/,
  },
  // Its first thread waits for a key, the second one polls.
  'testpmd on net_af_xdp': {
    program: 'dpdk-testpmd',
    args: (iface) => [
      ...['--lcores', '0@1,1@1', '--no-huge', '-m', '512', '--no-pci', '--no-telemetry', '--no-shconf'],
      ...[`--vdev=net_af_xdp0,iface=${iface}`, '--', '--forward-mode=rxonly', '--total-num-mbufs=65536'],
    ],
    ready: hasXdp,
    packets: /RX-packets:\s*(\d+)/,
    dropped: /RX-dropped:\s*(\d+)/,
  },
};

const [name, iface, warmup, count] = process.argv.slice(2);
const { program = name, args, ready = hasSocket, packets, dropped } = TOOLS[name];
// A stdin that stays open: testpmd ends with it.
const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args(iface).map(String)], { stdio: 'pipe' });
process.on('exit', () => child.kill('SIGKILL'));
let output = '';
child.stdout.on('data', (text) => {
  output += text;
});
child.stderr.on('data', (text) => {
  output += text;
});
const closed = new Promise((resolve) => child.on('close', resolve));
closed.then((code) => fail(`ended by itself (${code}): ${output.trim().split('\n').at(-1)}`));

function fail(why) {
  process.stderr.write(`${name} ${why}\n${output}`);
  process.exit(1);
}

/** CPU in µs: the scheduler's sum is exact, the ticks only tell user from system. */
function cpu() {
  const task = `/proc/${child.pid}/task`;
  const ran = (id) => Number(readFileSync(`${task}/${id}/schedstat`, 'utf8').split(' ')[0]);
  const total = readdirSync(task).reduce((sum, id) => sum + ran(id), 0) / 1000;
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ').map(Number);
  return { total, userTicks: fields[11], systemTicks: fields[12] };
}

while (!ready(iface)) await setTimeout(POLL_MS);
await setTimeout(OPEN_MS);
const before = cpu();
const start = performance.now();
process.stderr.write('READY\n');
for await (const _ of createInterface({ input: process.stdin })) break;
const wall = (performance.now() - start) * 1000;
await setTimeout(READ_MS);
const after = cpu();
const rssKiB = Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]);

child.removeAllListeners('close');
const ended = new Promise((resolve) => child.on('close', resolve));
child.kill('SIGINT');
await ended;
const found = packets.exec(output);
if (found === null) fail('did not say how many packets it captured');
const total = after.total - before.total;
const userTicks = after.userTicks - before.userTicks;
const systemTicks = after.systemTicks - before.systemTicks;
const user = (total * userTicks) / Math.max(1, userTicks + systemTicks);
const seen = Number(found[1]);
const result = {
  packets: seen,
  user,
  system: total - user,
  wall,
  rssKiB,
  missing: Number(warmup) + Number(count) - seen,
  dropped: Number(dropped.exec(output)?.[1] ?? 0),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0); // stdin is still open
