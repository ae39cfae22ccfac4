// The benchmark suite itself: started by run.mjs, in a lab where this host can make one.
import { accessSync, constants, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname, setPriority } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { probe } from 'ringtap';
import { charts } from './charts.mjs';
import { Bench } from './lib/bench.mjs';
import { compare } from './lib/compare.mjs';
import { machine, machineLine, Watch } from './lib/machine.mjs';
import { killAll, program } from './lib/processes.mjs';
import { ringtap } from './lib/receivers.mjs';
import { write } from './lib/report.mjs';
import { PROFILES } from './profiles.mjs';
import { Live } from './rows/live.mjs';

const modules = async (folder) => {
  const url = new URL(`${folder}/`, import.meta.url);
  const names = readdirSync(url).filter((name) => name.endsWith('.mjs'));
  return Promise.all(names.sort().map((name) => import(new URL(name, url).href)));
};

/** Capture methods on live traffic, and row files that measure something of their own. */
const methods = await modules('methods');
const rowFiles = (await modules('rows')).filter(({ name }) => name !== undefined);
/** What --only takes: a method and rows of its own may share a name. */
const names = [...new Set([...methods, ...rowFiles].map(({ name }) => name))];

const USAGE = `usage: npm run bench -- [options]          (or: ringtap bench [options])

  --quick            a minute: is everything as it was?
  --full             up to twenty minutes: every size, generator and repetition
  --only a,b         of: ${names.join(', ')}
  --cycles N         open and close each method so many times (10000 takes half an hour; default: 1000 and up, live 60 and up)
  --json             print the report as JSON on stdout; progress goes to stderr
  --out PATH         write PATH.json, PATH.md and charts PATH-*.svg (default: bench/results/<date>-<host>)
  --name NAME        what this host is called in the report (default: its host name)
  --compare FILE     compare with an earlier report, and end with status 1 when something became worse beyond the noise
  --uri URI          measure this capture on this host's own network, and nothing else
  --generator G      with --uri: external (whatever comes), or what sends; without it: the generator to use in the lab.
                     xdp, txring, sendmmsg, afxdp, dpdk, a URI that can transmit (dpdk:net_tap0), or a command with
                     {rate}, {count} and {size} in it that says READY, starts at a line on stdin and prints a line of JSON
  --iface IFACE      with --uri: where the generator sends`;

const { values: options } = parse({
  options: {
    quick: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    only: { type: 'string' },
    cycles: { type: 'string' },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
    name: { type: 'string', default: hostname() },
    compare: { type: 'string' },
    uri: { type: 'string' },
    generator: { type: 'string' },
    iface: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
/** A command line that makes no sense ends with 2. */
function parse(known) {
  try {
    return parseArgs(known);
  } catch (error) {
    console.error(`bench: ${error.message}`);
    process.exit(2);
  }
}

const say = options.json ? console.error : console.log;
const profileName = options.quick ? 'quick' : options.full ? 'full' : 'standard';
const lab =
  process.env.RINGTAP_LAB === undefined
    ? undefined
    : { rx: process.env.RINGTAP_LAB_RX, tx: process.env.RINGTAP_LAB_TX };

function wanted() {
  const usual = [...methods, ...rowFiles].filter(({ onlyOnRequest }) => !onlyOnRequest).map(({ name }) => name);
  const chosen = options.only?.split(',') ?? usual;
  const unknown = chosen.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`--only ${unknown}: of ${names.join(', ')}`);
  return (name) => chosen.includes(name);
}

function profile() {
  const chosen = PROFILES[profileName];
  if (options.cycles === undefined) return chosen;
  const times = Number(options.cycles);
  if (!Number.isInteger(times) || times < 100) throw new Error(`--cycles ${options.cycles}: a whole number from 100`);
  return { ...chosen, cycle: { times, liveTimes: times } };
}

/** Measures one URI on the network as it is. */
async function measureUri(bench) {
  const { uri, generator = 'external', iface } = options;
  if (generator !== 'external' && iface === undefined && !/[ :]/.test(generator)) {
    throw new Error(`--generator ${generator} needs --iface: where it sends`);
  }
  if (generator === 'external') {
    const { external } = await import('./lib/external.mjs');
    return external(bench, uri);
  }
  bench.wires = { rx: uri, tx: iface };
  const method = { name: 'uri', receivers: [ringtap(uri, () => uri)] };
  return new Live(bench, [method], generator).run();
}

async function measureHere(bench) {
  const isHere = new Set((await probe()).filter(({ available }) => available).map(({ backend }) => backend));
  for (const { name, run } of rowFiles) if (bench.wants(name)) await bench.attempt(name, () => run(bench));
  const chosen = methods.filter(({ name }) => bench.wants(name));
  const possible = chosen.filter(({ name }) => isHere.has(name));
  for (const { name } of chosen) if (!isHere.has(name)) bench.skip(name, 'not on this host: see ringtap doctor');
  if (possible.length === 0) return;
  if (bench.wires === undefined) bench.skip('live traffic', 'no lab');
  else await new Live(bench, possible, options.generator).run();
}

/** Where nice means nothing between sessions, the session's own group has a priority, too. */
function raisePriority() {
  try {
    setPriority(-10);
    writeFileSync('/proc/self/autogroup', '-10');
  } catch {
    say('without the right to raise priorities: other programs will show in the figures');
  }
}

/** How to do the same again, wherever the result goes. */
function commandLine() {
  const { out, json, compare, ...same } = options;
  const flags = Object.entries(same).filter(([, value]) => value !== false && value !== undefined);
  const text = flags.map(([flag, value]) => (value === true ? `--${flag}` : `--${flag} '${value}'`));
  return ['npm run bench --', ...text].join(' ').replace(/ --$/, '');
}

async function main() {
  if (options.help) return console.log(USAGE);
  if (program('peer-descloop') === undefined) throw new Error('the peers are not built: npm run build:native');
  // What can fail for want of a file fails before the measuring.
  const began = new Date().toISOString();
  const bench = new Bench({ say, profile: profile(), wires: lab, wants: wanted() });
  process.on('exit', () => {
    killAll();
    bench.cleanUp();
  });
  raisePriority();
  const path = options.out ?? new URL(`results/${began.slice(0, 10)}-${options.name}`, import.meta.url).pathname;
  const earlier = options.compare === undefined ? undefined : JSON.parse(readFileSync(options.compare, 'utf8'));
  accessSync(dirname(path), constants.W_OK);
  const start = performance.now();
  const watch = new Watch();
  say(machineLine(machine()));
  await (options.uri === undefined ? measureHere(bench) : measureUri(bench));
  const noise = watch.result();
  for (const warning of noise.warnings) say(warning);
  const { rows, tables, trials, searches, skipped, raw } = bench;
  const report = {
    title: `ringtap: benchmark (${profileName})`,
    command: commandLine(),
    began,
    seconds: Math.round((performance.now() - start) / 1000),
    host: options.name,
    machine: machine(),
    noise,
    ...{ rows, tables, searches, skipped, trials, raw },
  };
  if (earlier !== undefined) report.comparison = compare(options.compare, earlier, report);
  await write(path, report, charts(report));
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  for (const text of report.comparison?.text ?? []) say(text);
  if (report.comparison?.worse.length > 0) process.exitCode = 1;
  say(`${path}.md, after ${report.seconds} s`);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));
try {
  await main();
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
