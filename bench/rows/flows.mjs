// Flows of traces beside the meters that people use, and the meter by itself.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cost } from '../lib/bench.mjs';
import { cpuSeconds, Pinned, program, READER_CORE, reader } from '../lib/processes.mjs';
import { figure, range, reaches } from '../lib/report.mjs';
import { spread } from '../lib/stats.mjs';

export const name = 'flows';
export const about =
  'flows of traces beside nfpcapd, softflowd, argus, ndpiReader and gopacket, and the meter by itself';

const FOLDER = '/var/tmp';
const RINGTAP = [process.execPath, fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))];
/** By the number of flows: how many times as fast as nfpcapd, and ns a packet of the meter by itself. */
const GOALS = {
  10000: { nfpcapd: 4, stage: 40 },
  100000: { nfpcapd: 10, stage: 75 },
  1000000: { nfpcapd: 25, stage: 100 },
  10000000: { stage: 140 },
};
const MOST_LOOP_NS = 15;
const MOST_PROTOBUF_NS = 30;
const MOST_FLOW_BYTES = 250;
/** So many that what else is resident hardly counts. */
const MANY_FLOWS = 1_000_000;

export async function run(bench) {
  const folder = mkdtempSync(join(FOLDER, 'ringtap-bench-'));
  bench.onCleanUp(() => rmSync(folder, { recursive: true, force: true }));
  const { runs, traces, tables } = bench.profile.flows;
  for (const flows of tables)
    await bench.attempt(`flows: the meter by itself, ${figure(flows)} flows`, () => stage(bench, flows, runs));
  for (const [flows, mean] of traces) {
    const trace = makeTrace(folder, flows, mean);
    const own = new Pinned(READER_CORE, reader('flows', trace, join(folder, 'lines')));
    await own.ready;
    const costs = await inProcess(bench, own, flows, runs);
    for (const peer of peersOf(folder, trace)) {
      if (flows > peer.mostFlows) continue; // it takes minutes
      const what = `flows: ${peer.name}, ${figure(flows)} flows`;
      await bench.attempt(what, () => compare(bench, { folder, trace, flows, runs, costs, peer }));
    }
    if (flows === traces.at(-1)[0]) await ofAllRecords(bench, own, runs);
    if (flows >= MANY_FLOWS) await memory(bench, trace, flows);
    await own.end();
    rmSync(trace);
  }
  rmSync(folder, { recursive: true, force: true });
}

function makeTrace(folder, flows, mean) {
  const path = join(folder, 'flows.pcap');
  const { status } = spawnSync(needed('ringtap-flowtrace'), [flows, mean], {
    stdio: ['ignore', openSync(path, 'w'), 'inherit'],
  });
  if (status !== 0) throw new Error(`ringtap-flowtrace: exit status ${status}`);
  spawnSync('sync', ['-f', path]); // or writing it out would be measured
  return path;
}

function needed(tool) {
  const path = program(tool);
  if (path === undefined) throw new Error(`${tool} was not built`);
  return path;
}

/** Of Debian's golang-github-google-gopacket-dev. It has neither expiry nor records: it adds up. */
const GOPACKET = fileURLToPath(new URL('../peers/gopacket.go', import.meta.url));

/** Each reads the trace and writes its records, in the form that is its own. */
const peersOf = (folder, trace) => [
  {
    name: 'nfpcapd',
    command: ['nfpcapd', '-r', trace, '-w', join(folder, 'nfcapd'), '-B', '200000'],
    folder: 'nfcapd',
  },
  { name: 'softflowd', command: ['softflowd', '-r', trace, '-d', '-b', '-v', '10', '-n', '127.0.0.1:9'] },
  { name: 'argus', command: ['argus', '-r', trace, '-w', join(folder, 'argus')] },
  { name: 'ndpiReader', command: ['ndpiReader', '-q', '-i', trace, '-C', join(folder, 'ndpi')], mostFlows: 100_000 },
  { name: 'gopacket', command: [join(folder, 'gopacket'), trace], build: GOPACKET },
];

/** CPU ns a packet without the start of Node, by what becomes of records. */
async function inProcess(bench, own, flows, runs) {
  const costs = {};
  for (const mode of ['columns', 'json']) {
    const results = [];
    for (let run = -1; run < runs; run++) {
      const result = await own.ask(mode);
      if (run >= 0) results.push(result);
    }
    costs[mode] = { ns: results.map(cost), packets: results[0].packets, records: results[0].records };
  }
  const { packets, records } = costs.columns;
  bench.add({
    what: `flows: ${figure(flows)} flows in ${figure(packets / 1e6)} M packets, start left out`,
    figures: Object.fromEntries(
      Object.entries(costs).map(([mode, { ns }]) => [
        mode === 'json' ? 'lines of JSON' : mode,
        `${range(spread(ns))} ns a packet`,
      ]),
    ),
    result: `${figure(records)} records`,
    n: runs,
    runs: Object.fromEntries(Object.entries(costs).map(([mode, { ns }]) => [mode, ns])),
  });
  return costs;
}

/** In turns, after one of each that does not count. */
function compare(bench, { folder, trace, flows, runs, costs, peer }) {
  if (peer.build !== undefined) buildGo(peer.build, peer.command[0]);
  else if (spawnSync('sh', ['-c', `command -v ${peer.name}`]).status !== 0) throw new Error('not installed');
  const ours = ['sh', '-c', `exec "$@" > '${join(folder, 'lines')}'`, 'sh', ...RINGTAP, 'flows', trace, '--json'];
  const seconds = { ours: [], peer: [] };
  for (let run = -1; run < runs; run++) {
    for (const [side, command] of Object.entries({ ours, peer: peer.command })) {
      for (const file of ['lines', 'argus', 'nfcapd']) rmSync(join(folder, file), { recursive: true, force: true });
      if (peer.folder !== undefined) mkdirSync(join(folder, peer.folder));
      const took = cpuSeconds(command, folder);
      if (run >= 0) seconds[side].push(took);
    }
  }
  const { packets } = costs.columns;
  const each = (side) => seconds[side].map((took) => packets / took / 1e6);
  const goal = { least: peer.name === 'nfpcapd' ? GOALS[flows].nfpcapd : 1 };
  const row = { peer: each('peer'), peerName: peer.name, unit: 'Mpps of CPU' };
  const size = `${figure(statSync(trace).size / 1e6)} MB`;
  const what = `flows: ${peer.name}, ${figure(flows)} flows, ${size}`;
  bench.ratio(`${what}: lines of JSON, start of Node included`, { ...row, ours: each('ours'), goal });
  for (const [mode, { ns }] of Object.entries(costs)) {
    const form = mode === 'json' ? 'lines of JSON' : mode;
    bench.ratio(`${what}: ${form}, start of Node left out`, { ...row, ours: ns.map((one) => 1000 / one) });
  }
}

function buildGo(source, into) {
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode' };
  const { status, error, stderr } = spawnSync('go', ['build', '-o', into, source], { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(error?.code === 'ENOENT' ? 'Go is not installed' : stderr);
}

/** The native stage alone. */
function stage(bench, flows, runs) {
  const argv = ['-c', String(READER_CORE), needed('ringtap-meterloop'), String(flows), String(runs)];
  const { stdout, status } = spawnSync('taskset', argv, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ringtap-meterloop: exit status ${status}`);
  judge(
    bench,
    `flows: the meter by itself, ${figure(flows)} flows`,
    JSON.parse(stdout).ns,
    'ns a packet',
    GOALS[flows].stage,
  );
}

async function ofAllRecords(bench, own, runs) {
  const works = {
    loop: ['a loop in JavaScript over the columns of records', MOST_LOOP_NS],
    protobuf: ['records as protobuf', MOST_PROTOBUF_NS],
  };
  for (const [mode, [what, most]] of Object.entries(works)) {
    const costs = [];
    for (let run = -1; run < runs; run++) {
      const { user, system, records } = await own.ask(mode);
      if (run >= 0) costs.push(((user + system) * 1000) / records);
    }
    judge(bench, `flows: ${what}`, costs, 'ns a record', most);
  }
}

/** In a process of its own, which has used no memory for anything else. */
async function memory(bench, trace, flows) {
  const fresh = new Pinned(READER_CORE, reader('flows', trace));
  await fresh.ready;
  const { bytes } = await fresh.ask('memory');
  await fresh.end();
  judge(bench, `flows: memory that is resident, ${figure(flows)} flows`, [bytes], 'B a flow', MOST_FLOW_BYTES);
}

function judge(bench, what, values, unit, most) {
  const { median, ...rest } = spread(values);
  const goal = { most };
  const result = `${range({ median, ...rest })} ${unit}`;
  bench.add({ what, figures: {}, result, n: values.length, goal, pass: reaches(median, goal), runs: { ours: values } });
}
