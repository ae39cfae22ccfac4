// `npm run test:pfring`: what the pfring backend does with the real kernel module, compared with what was sent.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { labCommand, labSupport, runForeground } from './lab.mjs';
import { root, setup } from './setup.mjs';

const USAGE = `usage: npm run test:pfring -- [options]

Needs the kernel module (sudo modprobe pf_ring) and root. Makes a veth pair in a network namespace of its own, unless
it is told which interfaces to use:

  --rx IFACE --tx IFACE   capture on rx what is sent on tx; both up and connected (or RINGTAP_PFRING_RX, RINGTAP_PFRING_TX)
  --count N               packets of the main test (default 20000)
  --rate N                packets per second (default 5000, which an emulated machine can keep up with)
  --paths LIST            ring, library or both (default ring,library)

Exits with 1 when something is not as it should be, or cannot be tested.`;

const { values: options } = parseArgs({
  options: {
    rx: { type: 'string', default: process.env.RINGTAP_PFRING_RX },
    tx: { type: 'string', default: process.env.RINGTAP_PFRING_TX },
    count: { type: 'string', default: '20000' },
    rate: { type: 'string', default: '5000' },
    paths: { type: 'string', default: 'ring,library' },
    help: { type: 'boolean', default: false },
  },
});
const count = Number(options.count);
const rate = Number(options.rate);
const given = options.rx !== undefined && options.tx !== undefined;

const PKTGEN = join(root, 'build/addon/bin/ringtap-pktgen');
const NUMBER_AT = 14 + 20 + 8;
const FLOWS = 64;
const PATIENCE_MS = 60_000;
const QUIET_MS = 3_000;
// Nothing but the sender's packets passes the kernel's filter, so that counts can be compared to the packet.
const OURS = 'udp dst port 9';

let proved = 0;
const failures = [];

function check(what, good, found) {
  if (good) proved++;
  else failures.push(what);
  console.log(`${good ? 'ok     ' : 'FAILED '} ${what}${found === undefined ? '' : `: ${found}`}`);
}

let ringtap;
const opened = [];

/** A capture that lasts as long as the test. */
async function open(uri, more) {
  const capture = await ringtap.open(uri, { filter: OURS, fallback: false, ...more });
  opened.push(capture);
  return capture;
}

/** A test: whatever it throws is a failure of it. */
async function attempt(what, body) {
  try {
    await body();
  } catch (error) {
    const { code, message, hint } = error;
    check(what, false, `${code ?? error.name}: ${message}${hint ? ` (${hint})` : ''}`);
  } finally {
    for (const capture of opened.splice(0)) await capture.close();
  }
}

/** Sends numbered UDP packets; resolves to how many, once all have left. */
function send(tx, packets, more = {}) {
  const args = Object.entries({ iface: tx, count: packets, rate, flows: FLOWS, ...more });
  const child = spawn(
    PKTGEN,
    args.flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(output).sent);
      else reject(new Error(`ringtap-pktgen: exit code ${code}`));
    });
  });
}

const numbersOf = (batch) =>
  Array.from({ length: batch.length }, (_, i) => Number(batch.view.getBigUint64(batch.offset[i] + NUMBER_AT)));

/** Everything that comes until there were `wanted` packets, or nothing for a while after `sending` has ended. */
async function collect(capture, wanted, sending) {
  const numbers = [];
  let sent;
  let last = performance.now();
  const begin = last;
  void sending.then((n) => {
    sent = n;
    last = performance.now();
  });
  while (numbers.length < wanted && performance.now() - begin < PATIENCE_MS + (wanted / rate) * 2000) {
    const batch = capture.tryNext();
    if (batch !== null) {
      numbers.push(...numbersOf(batch));
      last = performance.now();
    } else {
      if (sent !== undefined && performance.now() - last > QUIET_MS) break;
      await sleep(1);
    }
  }
  return { numbers, sent: await sending };
}

const inSequence = (numbers) => numbers.every((number, i) => i === 0 || number > numbers[i - 1]);
const balanced = ({ received, delivered, filtered, dropped, pending }) =>
  received === delivered + filtered + dropped + pending;
const figures = ({ received, delivered, dropped, pending }) =>
  `received ${received} = delivered ${delivered} + dropped ${dropped} + pending ${pending}`;

function interfaceCounters(name) {
  const read = (counter) => {
    try {
      return Number(readFileSync(`/sys/class/net/${name}/statistics/${counter}`, 'utf8'));
    } catch {
      return 0;
    }
  };
  return read('rx_dropped') + read('rx_missed_errors') + read('rx_fifo_errors') + read('rx_over_errors');
}

async function all(uri, { rx, tx }) {
  const before = interfaceCounters(rx);
  const capture = await open(uri);
  console.log(`        ${capture.plan.mode}, filter in ${capture.plan.filter}, ${capture.plan.notes.join('; ')}`);
  const { numbers, sent } = await collect(capture, count, send(tx, count));
  const stats = capture.stats();
  check(`${sent} of ${sent} sent packets arrive`, numbers.length === sent && sent === count, numbers.length);
  check(
    'none out of sequence, none twice, none missing',
    numbers.every((number, i) => number === i),
  );
  check('the ledger says so', stats.delivered === sent && stats.dropped === 0 && balanced(stats), figures(stats));
  const lost = interfaceCounters(rx) - before;
  if (numbers.length !== sent && lost > 0) console.log(`        the interface itself lost ${lost}`);
}

async function stalled(uri, { tx }) {
  const capture = await open(uri);
  // The longest packets fill the ring soonest. How much fits is the module's setting, so: until some are lost.
  let sent = 0;
  const rounds = [];
  for (let round = 0; round < 20 && capture.stats().dropped < 1000; round++) {
    const n = await send(tx, 20_000, { size: 1514, rate: rate * 4 });
    rounds.push([sent, n]);
    sent += n;
    await sleep(200);
  }
  const full = capture.stats();
  check('a full ring loses packets while the reader stands still', full.dropped > 0, full.dropped);
  check('and counts each of them', full.received === sent && balanced(full), `${figures(full)}, sent ${sent}`);
  const { numbers } = await collect(capture, full.pending, Promise.resolve(sent));
  // The sender numbers each round anew: make them one sequence, by what was sent before.
  let round = 0;
  const positions = numbers.map((number, i) => {
    if (i > 0 && number <= numbers[i - 1]) round++;
    return (rounds[round]?.[0] ?? Number.NaN) + number;
  });
  const kept = positions.filter((position, i) => position === i).length;
  check('what fitted is read without a gap', kept === full.pending, `${kept} of ${full.pending}`);
  const again = await collect(capture, 1000, send(tx, 1000));
  const after = capture.stats();
  check('then it goes on without loss', again.numbers.every((n, i) => n === i) && again.numbers.length === 1000);
  const whole = after.delivered + after.dropped;
  check('sent = delivered + dropped, exactly', whole === sent + 1000 && balanced(after), `${sent + 1000} = ${whole}`);
}

async function held(uri, { tx }) {
  const capture = await open(uri, { batchSize: 16 });
  const sending = send(tx, 5000);
  const batches = [];
  const numbers = [];
  const end = performance.now() + PATIENCE_MS;
  while (numbers.length < 5000 && performance.now() < end) {
    const batch = capture.tryNext();
    if (batch === null) {
      await sleep(1);
      continue;
    }
    numbers.push(...numbersOf(batch));
    if (batches.length < 6) batches.push({ batch: batch.hold(), before: numbersOf(batch), bytes: batch.copy(0) });
  }
  await sending;
  const intact = batches.every(
    ({ batch, before, bytes }) =>
      String(numbersOf(batch)) === String(before) && Buffer.compare(batch.data(0), bytes) === 0,
  );
  check(
    'held batches keep their bytes while 5000 packets pass',
    batches.length > 0 && intact,
    `${batches.length} held`,
  );
  for (const { batch } of batches.reverse()) batch.release();
  check('nothing is missing beside them', numbers.length === 5000 && numbers.every((n, i) => n === i), numbers.length);
}

async function filtered(uri, { tx }) {
  const capture = await open(uri, { filter: `${OURS} and udp[0:2] & 63 = 7`, snaplen: 60 });
  const { numbers } = await collect(capture, FLOWS, send(tx, FLOWS * FLOWS));
  await sleep(100);
  const { delivered, filtered: rejected } = capture.stats();
  check(`the filter runs in the ${capture.plan.filter}`, capture.plan.filter === 'kernel');
  check(
    'and keeps one flow of 64',
    numbers.length === FLOWS && inSequence(numbers),
    `${delivered}, ${rejected} in user space`,
  );
}

async function directed(uri, { rx, tx }) {
  const incoming = await open(uri, { direction: 'in' });
  const outgoing = await open(uri, { direction: 'out' });
  const leaving = await open(uri.replace(rx, tx), { direction: 'out' });
  const { numbers } = await collect(incoming, 500, transmit(uri.replace(rx, tx), 500));
  check('direction=in shows what came', numbers.length === 500, numbers.length);
  const wrong = outgoing.stats().received;
  check('direction=out shows none of it', wrong === 0, wrong);
  const expected = /Capture TX\s*:\s*No/.test(moduleInfo() ?? '') ? 0 : 500;
  // What arrived may be on its way to the other ring.
  for (let tries = 0; leaving.stats().received < expected && tries < 100; tries++) await sleep(20);
  const left = leaving.stats().received;
  check('direction=out on the sender shows what left', left === expected, left);
}

async function woken(uri, { tx }) {
  const capture = await open(uri, { timeoutMs: 0 });
  const first = (async () => {
    for await (const batch of capture) return { length: batch.length, time: batch.timeNs(0) };
  })();
  await sleep(100);
  await send(tx, 1);
  const seen = await Promise.race([first, sleep(PATIENCE_MS, undefined, { ref: false })]);
  check('one packet wakes a waiting loop', seen?.length === 1);
  const age = Math.abs(Number(BigInt(Date.now()) * 1_000_000n - (seen?.time ?? 0n)) / 1e9);
  check('its timestamp is the time of day', age < PATIENCE_MS / 1000, `${age.toFixed(3)} s ago`);
}

/** Sends numbered packets through the backend; resolves to how many. */
async function transmit(uri, packets) {
  const frame = Buffer.alloc(64);
  frame.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17]);
  frame.writeUInt32BE(0x0a000001, 26);
  frame.writeUInt32BE(0x0a000002, 30);
  frame.writeUInt16BE(9, 36);
  frame.writeUInt16BE(30, 38);
  const transmitter = await ringtap.openTransmitter(uri, { fallback: false });
  for (let i = 0; i < packets; i++) {
    frame.writeBigUInt64BE(BigInt(i), NUMBER_AT);
    while (!transmitter.send(frame)) await transmitter.flush();
    if (i % 50 === 0) await sleep(10);
  }
  await transmitter.flush();
  const { completed: sent } = transmitter.stats();
  await transmitter.close();
  return sent;
}

async function transmitted(uri, { rx, tx }) {
  const capture = await open(uri);
  const { numbers, sent } = await collect(capture, 500, transmit(uri.replace(rx, tx), 500));
  const good = sent === 500 && numbers.length === 500 && numbers.every((n, i) => n === i);
  check('500 frames that it sends arrive in sequence', good, numbers.length);
}

async function refused(path, { rx }) {
  const failure = async (uri) => {
    try {
      await open(uri);
      return undefined;
    } catch (error) {
      return error;
    }
  };
  const unknown = await failure(`pfring:nosuch0?path=${path}`);
  check('an unknown interface is named', unknown?.code === 'RINGTAP_NO_INTERFACE', unknown?.message);
  const silent = await failure(`pfring:${rx}@63?path=${path}`);
  check('a queue that does not exist is refused', silent?.code === 'RINGTAP_BAD_OPTION', silent?.message);
}

async function zeroCopy({ rx }) {
  try {
    await open(`pfring:zc:${rx}`);
    console.log(`note    zc:${rx} can be opened here; nothing of it is tested`);
  } catch (error) {
    check(
      'zc: without driver or licence says so',
      /ZC|huge pages/.test(error.message),
      `${error.code}: ${error.message}`,
    );
  }
}

function moduleInfo() {
  for (const path of ['/proc/net/pf_ring/info', '/proc/self/net/pf_ring/info']) {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      // not there: the next one
    }
  }
  return undefined;
}

async function main() {
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  if (!given && (options.rx !== undefined || options.tx !== undefined)) {
    console.error(`--rx and --tx belong together\n\n${USAGE}`);
    return 2;
  }
  if (
    !['dist/index.js', 'build/addon/Release/ringtap.node'].every((file) => existsSync(join(root, file))) ||
    !existsSync(PKTGEN)
  ) {
    setup({ for: 'start' });
  }
  if (!given && process.env.RINGTAP_LAB === undefined) {
    const { reason } = labSupport();
    if (reason !== undefined) {
      console.error(reason);
      return 1;
    }
    return runForeground(labCommand([process.execPath, ...process.argv.slice(1)]));
  }

  ringtap = await import(pathToFileURL(join(root, 'dist/index.js')).href);
  const found = (await ringtap.probe()).find(({ backend }) => backend === 'pfring');
  if (!found?.available) {
    console.error(`PF_RING cannot be tested here: ${found?.reason}\n${found?.hint ?? ''}`);
    return 1;
  }
  const ends = given
    ? { rx: options.rx, tx: options.tx }
    : { rx: process.env.RINGTAP_LAB_RX ?? 'rt1', tx: process.env.RINGTAP_LAB_TX ?? 'rt0' };
  const info = moduleInfo();
  console.log(`PF_RING: ${found.detail}; capturing on ${ends.rx} what ${ends.tx} sends`);
  console.log(
    info?.trim().replaceAll(/^/gm, '        ') ??
      '        no /proc/net/pf_ring/info: NOT the real module, a stand-in answers',
  );
  for (const path of options.paths.split(',')) {
    const uri = `pfring:${ends.rx}?path=${path}`;
    console.log(`\n${uri}`);
    await attempt('every packet', () => all(uri, ends));
    await attempt('a reader that stands still', () => stalled(uri, ends));
    await attempt('held batches', () => held(uri, ends));
    await attempt('a filter', () => filtered(uri, ends));
    await attempt('directions', () => directed(uri, ends));
    await attempt('waking', () => woken(uri, ends));
    await attempt('sending', () => transmitted(uri, ends));
    await attempt('what cannot be', () => refused(path, ends));
  }
  if (options.paths.includes('library')) await attempt('zero copy', () => zeroCopy(ends));
  console.log(
    `\n${proved} proved, ${failures.length} failed${info === undefined ? ' — with a stand-in, not the real module' : ''}`,
  );
  return failures.length > 0 ? 1 : 0;
}

process.exitCode = await main();
