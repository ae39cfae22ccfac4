// What `npm start` shows: real traffic through every capture method that works here, each packet accounted for.
// Runs in a lab (scripts/lab.mjs); outside of one it makes do with synth: and a recorded trace.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import Table from 'cli-table3';
import { devices, open, openWriter, probe } from 'ringtap';
import { root } from './files.mjs';

const LIVE_PACKETS = 300_000;
const LIVE_RATE = 200_000;
const SYNTH_PACKETS = 5_000_000;
const FILE_PACKETS = 500_000;
const SAMPLE = { path: 'examples/sample.pcap', packets: 41 };
const LATE_MS = 1000; // after the last frame was sent: what has not come by then is lost

const { RINGTAP_LAB_RX: rx, RINGTAP_LAB_TX: tx, RINGTAP_LAB_MISSING: labMissing } = process.env;
const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const rows = [];
let allWell = true;

/** Says how a capture is getting on: one line that is rewritten on a terminal, a line a second elsewhere. */
function progress(uri, count) {
  const isTerminal = process.stdout.isTTY;
  let last = 0;
  const period = isTerminal ? 100 : 1000;
  const timer = setInterval(() => {
    const now = count();
    const line = `  ${uri}  ${number.format(now)} packets, ${number.format(((now - last) * 1000) / period)} a second`;
    last = now;
    process.stdout.write(isTerminal ? `\r\x1b[K${line}` : `${line}\n`);
  }, period);
  return () => {
    clearInterval(timer);
    if (isTerminal) process.stdout.write('\r\x1b[K');
  };
}

/** Sends numbered frames; resolves when they are sent, to their number. */
async function generate() {
  const program = join(root, 'build/addon/bin/ringtap-pktgen');
  const args = ['--iface', tx, '--count', String(LIVE_PACKETS), '--rate', String(LIVE_RATE)];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the traffic generator failed (exit code ${code})`);
  return JSON.parse(output).sent;
}

/** Captures until the source ends, or all that `traffic` sends had time to arrive, and adds a row to the table. */
async function show(uri, expected, options = {}, traffic) {
  let packets = 0;
  let bytes = 0;
  let firstAt = 0;
  let lastAt = 0;
  let capture;
  let sending;
  let failure;
  const done = progress(uri, () => packets);
  try {
    capture = await open(uri, options);
    const cpuBefore = process.cpuUsage();
    sending = traffic?.()
      .then(async (sent) => {
        for (let waited = 0; packets < sent && waited < LATE_MS; waited += 20) await setTimeout(20);
        await setTimeout(50); // a packet too many would be an error, too
      })
      .catch((error) => {
        failure = error;
      })
      .finally(() => capture.close());
    for await (const { length, caplen } of capture) {
      for (let i = 0; i < length; i++) bytes += caplen[i];
      lastAt = performance.now();
      if (packets === 0) firstAt = lastAt;
      packets += length;
    }
    await sending;
    if (failure !== undefined) throw failure;
    const cpu = process.cpuUsage(cpuBefore);
    addRow({ capture, packets, expected, bytes, seconds: (lastAt - firstAt) / 1000, cpu: cpu.user + cpu.system });
  } catch (error) {
    allWell = false;
    rows.push([uri, 'FAILED', { colSpan: 5, content: `${error.code ?? ''} ${error.message}`.trim() }]);
  } finally {
    done();
    await sending;
    await capture?.close();
  }
}

function addRow({ capture, packets, expected, bytes, seconds, cpu }) {
  const { dropped, drops } = capture.stats();
  const isComplete = packets === expected && dropped === 0;
  allWell &&= isComplete;
  const causes = Object.entries(drops).map(
    ([cause, count]) => `${cause} ${count === undefined ? 'unknown' : number.format(count)}`,
  );
  const isSample = packets < 1000; // too few to say how fast
  rows.push([
    capture.uri,
    capture.plan.mode,
    `${number.format(packets)} of ${number.format(expected)}${isComplete ? '' : ' !'}`,
    packets === 0 ? '' : number.format(bytes / packets),
    isSample ? '' : number.format(packets / seconds),
    isSample ? '' : number.format((cpu * 1000) / packets),
    causes.join(', ') || 'none',
  ]);
}

/** Writes a trace of synthetic packets, for the file: row. */
async function writeTrace(path) {
  const source = await open(`synth:?count=${FILE_PACKETS}`);
  const writer = await openWriter(`pcapng:${path}`);
  for await (const batch of source) await writer.write(batch);
  await writer.close();
}

const probes = await probe();
for (const { backend, available, reason, hint } of probes) {
  if (!available) console.log(`${backend}: not here: ${reason}${hint ? ` (${hint})` : ''}`);
}

if (rx !== undefined) {
  const uris = (await devices()).flatMap(({ uris }) => uris);
  for (const { backend, available } of probes) {
    const uri = `${backend}:${rx}`;
    if (!available || !uris.includes(uri)) continue;
    await show(uri, LIVE_PACKETS, { filter: 'udp dst port 9' }, generate);
  }
}

await show(`synth:?count=${SYNTH_PACKETS}`, SYNTH_PACKETS);

if (rx !== undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-demo-'));
  try {
    process.chdir(folder);
    await writeTrace('synth.pcapng');
    await show('file:synth.pcapng', FILE_PACKETS);
  } finally {
    rmSync(folder, { recursive: true });
  }
} else {
  process.chdir(root);
  await show(`file:${SAMPLE.path}`, SAMPLE.packets);
}

const table = new Table({
  head: ['capture', 'mode', 'packets', 'bytes each', 'packets/s', 'ns CPU/packet', 'dropped by cause'],
  colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'left'],
  style: { head: [], border: [] },
});
table.push(...rows);
console.log(table.toString());
if (labMissing !== undefined) console.log(`No live capture: ${labMissing}`);
if (!allWell) console.error('Not every packet was accounted for: see the rows above.');
process.exitCode = allWell ? 0 : 1;
