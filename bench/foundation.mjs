// What the foundation must reach: a row for each target, beside its goal. Started by run.mjs.
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { open, openWriter, probe } from 'ringtap';
import { machine, machineLine, Watch } from './lib/machine.mjs';
import { killAll, Pinned, program, READER_CORE, reader, runReader, transfer } from './lib/processes.mjs';
import { figure, line, range, reaches, write } from './lib/report.mjs';
import { median, ratios, spread } from './lib/stats.mjs';

const USAGE = `usage: npm run bench -- [options]

  --quick        a minute instead of a quarter of an hour
  --only a,b     of: synth, file, live, loop, stall, cycle
  --out PATH     write PATH.json and PATH.md (default: bench/results/foundation-<date>)`;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    out: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const { quick } = options;
const { RINGTAP_LAB_RX: rx, RINGTAP_LAB_TX: tx } = process.env;

const rows = [];
const raw = {};

function addRow(row) {
  rows.push(row);
  console.log(line(row));
}

/** A row whose result is the ratio of what two readers took, or did, in runs next to each other. */
function addRatio(what, { ours, peer, peerName, unit, goal, note }) {
  const ratio = ratios(ours, peer);
  addRow({
    what,
    figures: { ringtap: `${range(spread(ours))} ${unit}`, [peerName]: `${range(spread(peer))} ${unit}` },
    result: `${range(ratio)} ×`,
    goal,
    pass: reaches(ratio.median, goal),
    note,
    runs: { ours, peer },
  });
}

/** CPU nanoseconds per packet. */
const cost = ({ user, system, packets }) => ((user + system) * 1000) / packets;
/** Million packets per second of the reader's CPU time: what a core of its own gives. */
const speed = ({ user, system, packets }) => packets / (user + system);

/** Asks pinned readers in turn, `runs` times each, after a run that does not count. */
async function interleave(commands, runs, question) {
  const names = Object.keys(commands);
  const readers = Object.fromEntries(names.map((name) => [name, new Pinned(READER_CORE, commands[name])]));
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let run = -1; run < runs; run++) {
    for (const name of names) {
      await readers[name].ready;
      const result = await readers[name].ask(question);
      if (run >= 0) results[name].push(result);
    }
  }
  for (const name of names) await readers[name].end();
  return results;
}

/** Everybody must have read the same bytes, or nothing that was measured means anything. */
function checkSame(what, results) {
  const seen = (name) => results[name].map(({ packets, bytes, sum }) => `${packets} ${bytes} ${sum}`).join(', ');
  const [first, ...others] = Object.keys(results);
  for (const other of others) {
    if (seen(first) !== seen(other)) throw new Error(`${what}: ${first} and ${other} did not read the same packets`);
  }
}

const sections = {
  async synth() {
    const runs = quick ? 7 : 31;
    const rings = {
      '64 B frames, cache resident': { options: [], packets: 5_000_000, most: 2 },
      'IMIX, 350 MB ring': { options: ['sizes=imix', 'bufferBytes=350000000'], packets: 2_000_000, most: 1.15 },
    };
    for (const [name, { options: ring, packets, most }] of Object.entries(rings)) {
      for (const batch of [64, 256]) {
        const what = `synth: ${name}, batches of ${batch}`;
        const commands = {
          C: [program('peer-descloop'), batch, ...ring],
          tryNext: reader('synth', 'try', batch, ...ring),
          await: reader('synth', 'await', batch, ...ring),
        };
        const results = await interleave(commands, quick ? Math.min(runs, 5) : runs, packets);
        checkSame(what, results);
        raw[what] = results;
        const common = { peer: results.C.map(cost), peerName: 'C loop', unit: 'ns', goal: { most } };
        addRatio(`${what}, tryNext()`, { ...common, ours: results.tryNext.map(cost) });
        addRatio(`${what}, for await`, { ...common, ours: results.await.map(cost) });
      }
    }
  },

  async file() {
    const peer = program('peer-pcapfile');
    if (peer === undefined) return skip('file', 'peer-pcapfile was not built: no libpcap headers');
    const traces = {
      '64 B': { sizes: '64', packets: quick ? 1_000_000 : 12_000_000, least: 3 },
      IMIX: { sizes: 'imix', packets: quick ? 300_000 : 5_000_000, least: 2 },
    };
    const { bavail, bsize } = statfsSync('/dev/shm');
    const folder = mkdtempSync(join(bavail * bsize > 4 * 2 ** 30 ? '/dev/shm' : tmpdir(), 'ringtap-bench-'));
    cleanUps.add(() => rmSync(folder, { recursive: true, force: true }));
    for (const [name, { sizes, packets, least }] of Object.entries(traces)) {
      const what = `file: ${name}, ${figure(packets / 1e6)} M packets`;
      const path = join(folder, 'trace.pcap');
      await writeTrace(path, `synth:?sizes=${sizes}&count=${packets}&bufferBytes=67108864`);
      const results = await interleave({ C: [peer, path], JS: reader('file', path) }, quick ? 5 : 11, '');
      checkSame(what, results);
      raw[what] = results;
      addRatio(what, {
        ours: results.JS.map(speed),
        peer: results.C.map(speed),
        peerName: 'pcap_dispatch',
        unit: 'Mpps',
        goal: { least },
      });
    }
    rmSync(folder, { recursive: true, force: true });
  },

  async live() {
    const methods = { sendmmsg: quick ? 300_000 : 2_000_000, xdp: quick ? 1_000_000 : 4_000_000 };
    for (const [method, count] of Object.entries(methods)) {
      const warmup = count / 4;
      const what = `afpacket: veth flat out (${method})`;
      const commands = {
        ringtap: reader('live', `afpacket:${rx}`, warmup, count),
        tpacket3: [program('peer-tpacket3'), rx, warmup, count],
        libpcap: program('peer-pcaplive') && [program('peer-pcaplive'), rx, warmup, count],
      };
      const results = { ringtap: [], tpacket3: [], libpcap: [] };
      for (let run = 0; run < (quick ? 3 : 5); run++) {
        for (const [name, command] of Object.entries(commands)) {
          if (command === undefined) continue;
          results[name].push(await transfer(command, { iface: tx, method, count: warmup + count }));
        }
      }
      raw[what] = results;
      const pps = results.ringtap.map(({ sent }) => sent.pps / 1e6);
      const sender = `sender ${range(spread(pps))} Mpps`;
      const ours = results.ringtap.map(cost);
      addRatio(`${what}, CPU per packet`, {
        ours,
        peer: results.tpacket3.map(cost),
        peerName: 'TPACKET_V3 in C',
        unit: 'ns',
        goal: { most: 1.5 },
        note: sender,
      });
      if (results.libpcap.length > 0) {
        addRatio(`${what}, CPU per packet`, {
          ours,
          peer: results.libpcap.map(cost),
          peerName: 'libpcap in C',
          unit: 'ns',
          goal: { most: 1 },
        });
      }
      const lost = (name) => results[name].reduce((sum, { missing }) => sum + missing, 0);
      const peers = ['tpacket3', 'libpcap'].filter((name) => results[name].length > 0);
      addRow({
        what: `${what}, packets lost in all runs`,
        figures: Object.fromEntries(peers.map((name) => [name, String(lost(name))])),
        result: String(lost('ringtap')),
        goal: { most: Math.max(...peers.map(lost)) },
        pass: lost('ringtap') <= Math.max(...peers.map(lost)),
      });
    }
  },

  async loop() {
    const runs = quick ? 2 : 5;
    const seconds = quick ? 1 : 3;
    const idle = [];
    const busy = [];
    const live = [];
    for (let run = 0; run < runs; run++) {
      idle.push((await runReader(reader('loop', seconds))).lateness);
      busy.push((await runReader(reader('loop', seconds, 'synth:'))).lateness);
      if (rx === undefined) continue;
      const count = seconds * 500_000;
      live.push(
        (await transfer(reader('live', `afpacket:${rx}`, 1000, count, 'timer'), { iface: tx, count: count + 1000 }))
          .lateness,
      );
    }
    raw.loop = { idle, busy, live };
    const add = (what, results) =>
      addRow({
        what: `event loop: 10 ms timer, ${what}`,
        figures: {
          'p99 late': `${figure(median(results.map(({ p99 }) => p99)))} ms`,
          'on an idle loop: max': `${figure(Math.max(...idle.map(({ max }) => max)))} ms`,
        },
        result: `at most ${figure(Math.max(...results.map(({ max }) => max)))} ms late`,
        goal: { most: 20 },
        pass: Math.max(...results.map(({ max }) => max)) <= 20,
      });
    if (live.length > 0) add('afpacket: veth flat out', live);
    add('synth: flat out (the reader never waits)', busy);
  },

  async stall() {
    const count = quick ? 500_000 : 1_500_000;
    for (const backend of await liveBackends()) {
      const results = [];
      for (let run = 0; run < (quick ? 1 : 5); run++) {
        const command = reader('live', `${backend}:${rx}`, 1000, count, 'stall', 100, 400);
        results.push(await transfer(command, { iface: tx, count: count + 1000, rate: 500_000 }));
      }
      raw[`stall ${backend}`] = results;
      const lost = results.reduce((sum, { missing }) => sum + missing, 0);
      addRow({
        what: `${backend}: 100 ms of synchronous JS at 500 kpps, default sizes`,
        figures: {
          stalls: String(results.reduce((sum, { stalls }) => sum + stalls, 0)),
          rate: `${range(spread(results.map(({ sent }) => sent.pps / 1000)))} kpps`,
        },
        result: `${lost} lost`,
        goal: { most: 0 },
        pass: lost === 0,
      });
    }
  },

  async cycle() {
    const folder = mkdtempSync(join(tmpdir(), 'ringtap-bench-'));
    cleanUps.add(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, 'trace.pcap');
    await writeTrace(path, 'synth:?count=1000');
    const uris = ['synth:', `file:${path}`, ...(await liveBackends()).map((backend) => `${backend}:${rx}`)];
    for (const uri of uris) {
      const isLive = !/^(synth|file):/.test(uri);
      const count = quick ? (isLive ? 100 : 1000) : 10_000;
      const result = await runReader(reader('cycle', uri, count, isLive ? 4 : 1));
      raw[`cycle ${uri.split(':')[0]}`] = result;
      const [first, ...rest] = result.samples;
      const last = rest.at(-1);
      // The last quarter beside the one before it: pools and arenas have filled by then, so that a rise is a leak.
      const rss = (from, to) => median(rest.slice(rest.length * from, rest.length * to).map(({ rssKiB }) => rssKiB));
      const growthMiB = (rss(0.75, 1) - rss(0.5, 0.75)) / 1024;
      const isFlat = last.fds <= first.fds && last.threads <= first.threads && growthMiB <= 1;
      addRow({
        what: `${uri.split(':')[0]}: ${count} × open and close`,
        figures: {
          descriptors: `${first.fds} → ${last.fds}`,
          threads: `${first.threads} → ${last.threads}`,
          RSS: `${figure(first.rssKiB / 1024)} → ${figure(last.rssKiB / 1024)} MiB`,
        },
        result: `RSS grows by ${figure(growthMiB)} MiB from the third to the last quarter`,
        goal: { most: 1 },
        pass: isFlat,
        note: `${figure((result.seconds * 1000) / (count * 0.9))} ms each, ${result.atOnce} at a time`,
      });
    }
    rmSync(folder, { recursive: true, force: true });
  },
};

/** The live capture methods that work here. */
async function liveBackends() {
  if (rx === undefined) return [];
  const here = (await probe()).filter(({ available }) => available).map(({ backend }) => backend);
  return ['afpacket', 'pcap'].filter((backend) => here.includes(backend));
}

async function writeTrace(path, uri) {
  const source = await open(uri);
  const writer = await openWriter(`pcap:${path}`);
  for await (const batch of source) await writer.write(batch);
  await writer.close();
  await source.close();
}

function skip(section, reason) {
  console.log(`${section}: left out: ${reason}`);
}

const cleanUps = new Set();
function cleanUp() {
  killAll();
  for (const action of cleanUps) action();
}
process.on('exit', cleanUp);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

/** Where nice means nothing between sessions, the session's own group has a priority, too. */
function raisePriority() {
  try {
    setPriority(-10);
    writeFileSync('/proc/self/autogroup', '-10');
  } catch {
    console.log('without the right to raise priorities: other programs will show in the figures');
  }
}

async function main() {
  if (options.help) return console.log(USAGE);
  if (program('peer-descloop') === undefined) throw new Error('the peers are not built: npm run build:native');
  const wanted = options.only?.split(',') ?? Object.keys(sections);
  const unknown = wanted.find((name) => sections[name] === undefined);
  if (unknown !== undefined) throw new Error(`--only ${unknown}: of ${Object.keys(sections).join(', ')}`);
  raisePriority();
  const began = new Date().toISOString();
  const watch = new Watch();
  console.log(machineLine(machine()));
  for (const name of wanted) {
    if (name === 'live' && rx === undefined) skip(name, 'no lab');
    else await sections[name]();
  }
  const noise = watch.result();
  for (const warning of noise.warnings) console.log(warning);
  const report = {
    title: `ringtap: what the foundation reaches${quick ? ' (quick run)' : ''}`,
    command: ['npm run bench --', ...process.argv.slice(2)].join(' ').replace(/ --$/, ''),
    began,
    machine: machine(),
    noise,
    rows,
    raw,
  };
  const path = options.out ?? new URL(`results/foundation-${began.slice(0, 10)}`, import.meta.url).pathname;
  write(path, report);
  console.log(`${path}.md`);
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
