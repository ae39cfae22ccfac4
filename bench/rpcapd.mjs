// What a packet costs a daemon, and how many it loses: ours, and libpcap's rpcapd where its path is given.
//
//   npm run lab -- node bench/rpcapd.mjs [--peer /path/to/rpcapd] [--count 150000] [--rate 40000] [--runs 3]
//   npm run lab -- node bench/rpcapd.mjs --peer /path/to/rpcapd --rates 5000,10000,20000 [--seconds 2] [--runs 5]
//
// With --rates each rate is sent for so many seconds, --runs times in turns, and a table says what was lost, and up to which
// rate nothing was.
//
// The client asks for UDP and reads nothing: what is measured is the daemon alone, in seconds of CPU of its processes.
import { execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

const { values } = parseArgs({
  options: {
    peer: { type: 'string' },
    count: { type: 'string', default: '150000' },
    rate: { type: 'string', default: '40000' },
    runs: { type: 'string', default: '3' },
    size: { type: 'string', default: '1514' },
    rates: { type: 'string' },
    seconds: { type: 'string', default: '2' },
  },
});
const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const PORT = 20_021;
const TICKS = 100;
const SETTLE_MS = 1500;

const processes = (pid) => {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return [pid, ...children.map(Number)];
};

function cpuSeconds(pids) {
  let ticks = 0;
  for (const pid of pids) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / TICKS;
}

function big(value, bytes) {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
}

/** A connection, as soon as somebody listens. */
async function connected(port) {
  for (let tries = 0; ; tries++) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(100);
    }
  }
}

/** One question after the other. */
function control(socket) {
  const answers = [];
  let received = Buffer.alloc(0);
  socket.on('data', (more) => {
    received = Buffer.concat([received, more]);
    while (received.length >= 8 && received.length >= 8 + received.readUInt32BE(4)) {
      const length = 8 + received.readUInt32BE(4);
      answers.push(received.subarray(8, length));
      received = received.subarray(length);
    }
  });
  const ask = async (type, payload = Buffer.alloc(0)) => {
    socket.write(Buffer.concat([big(type << 16, 4), big(payload.length, 4), payload]));
    while (answers.length === 0) await sleep(2);
    return answers.shift();
  };
  return { ask, end: () => socket.destroy() };
}

async function trial(name, [command, ...args], { count, rate }) {
  const daemon = spawn(command, args, { stdio: 'ignore', detached: true });
  const { ask, end } = control(await connected(PORT));
  const sink = createSocket('udp4');
  await new Promise((resolve) => sink.bind(0, '127.0.0.1', resolve));
  await ask(8, Buffer.alloc(8));
  await ask(3, Buffer.from(process.env.RINGTAP_LAB_RX ?? 'rt1'));
  const all = Buffer.concat([big(1, 2), big(0, 2), big(1, 4), big(0x00060000, 4), big(0x40000, 4)]);
  await ask(4, Buffer.concat([big(65535, 4), big(100, 4), big(3, 2), big(sink.address().port, 2), all]));
  const pids = processes(daemon.pid);
  const before = cpuSeconds(pids);
  const generator = path('build/addon/bin/ringtap-pktgen');
  const { size } = values;
  const iface = process.env.RINGTAP_LAB_TX ?? 'rt0';
  const sent = await promisify(execFile)(generator, [
    '--iface',
    iface,
    '--count',
    `${count}`,
    '--size',
    size,
    '--rate',
    `${rate}`,
  ]);
  await sleep(SETTLE_MS);
  const stats = await ask(9);
  const used = cpuSeconds(pids) - before;
  const [received, lost, handedOn] = [0, 8, 12].map((at) => stats.readUInt32BE(at));
  const micros = Number(((used / handedOn) * 1e6).toFixed(2));
  const row = { name, rate, pps: Math.round(JSON.parse(sent.stdout).pps), received, lost, handedOn, micros };
  console.log(JSON.stringify(row));
  end();
  sink.close();
  process.kill(-daemon.pid, 'SIGTERM');
  await sleep(SETTLE_MS);
  return row;
}

const ours = (size) => [
  process.execPath,
  ...[path('dist/cli/main.js'), 'rpcapd', '-n', '-q', '-b', '127.0.0.1', '-p', `${PORT}`, '-t', `${size}`],
];
const daemons = [
  ['ringtap, udpstr of 1472 bytes', ours(1472)],
  ['ringtap, a datagram each', ours(0)],
  ...(values.peer === undefined
    ? []
    : [['libpcap, a datagram each', [values.peer, '-n', '-b', '127.0.0.1', '-p', `${PORT}`]]]),
];
const rates = (values.rates ?? values.rate).split(',').map(Number);
const countAt = (rate) => (values.rates === undefined ? Number(values.count) : rate * Number(values.seconds));

const rows = [];
for (const rate of rates) {
  for (let run = 0; run < Number(values.runs); run++) {
    for (const [name, command] of daemons) rows.push(await trial(name, command, { count: countAt(rate), rate }));
  }
}

/** The median, and between what. */
function spread(numbers, digits = 0) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const [least, middle, most] = [0, sorted.length >> 1, sorted.length - 1].map((i) => sorted[i].toFixed(digits));
  return least === most ? middle : `${middle} (${least} to ${most})`;
}

if (values.rates !== undefined) {
  const of = (rate, name) => rows.filter((row) => row.rate === rate && row.name === name);
  console.log(`\n| asked | daemon | sent a second | lost, of a hundred | µs a packet |\n|---|---|---|---|---|`);
  for (const rate of rates) {
    for (const [name] of daemons) {
      const runs = of(rate, name);
      const shares = runs.map(({ lost, received }) => (lost * 100) / received);
      const figures = [
        spread(runs.map(({ pps }) => pps)),
        spread(shares, 2),
        spread(
          runs.map(({ micros }) => micros),
          2,
        ),
      ];
      console.log(`| ${rate} | ${name} | ${figures.join(' | ')} |`);
    }
  }
  for (const [name] of daemons) {
    const clean = rates.map((rate) => of(rate, name)).filter((runs) => runs.every(({ lost }) => lost === 0));
    const most = Math.max(0, ...clean.map((runs) => Number(spread(runs.map(({ pps }) => pps)).split(' ')[0])));
    console.log(`\n${name}: nothing lost in any run up to ${most} a second`);
  }
}
