// Plants hostile values and prints, as JSON, what was not as it must be: whatever is planted, and wherever, the answer is
// a CaptureError with a hint, soon, and nothing is left open, started or written. Run by the hostile tests in a folder of
// its own, which holds nothing but a file `victim`:
//
//   node hostile.mjs options SCHEME TARGET [OPTIONS as JSON]   every option of a scheme, its target, unknown options
//   node hostile.mjs prototypes                           every name that means something, in Object.prototype
//   node hostile.mjs calls [URI of something that sends]       every exported function, every method of what they give
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import * as ringtap from 'ringtap';
import { Decoded, decode, decodePacket } from 'ringtap/decode';
import * as exporting from 'ringtap/export';
import { FlowMeter } from 'ringtap/flow';
import * as streams from 'ringtap/streams';
import { BACKENDS, OPEN_OPTIONS } from '../../dist/generated/schema.js';

const { CaptureError, explain, open, openTransmitter, openWriter } = ringtap;

/** How long an answer may take on a machine that is busy with other things. */
const PATIENCE_MS = 20_000;
const MEGABYTE = 1 << 20;

// --- What is planted ----------------------------------------------------------------------------------------------------

const deaf = () => {
  throw new Error('it was looked at');
};
const revoked = Proxy.revocable([], {});
revoked.revoke();

/** Of types that nothing takes. */
const THINGS = {
  null: null,
  'a symbol': Symbol('hostile'),
  'a bigint': 10n ** 30n,
  'a function': () => 1,
  'an object': {},
  'an object without a prototype': Object.create(null),
  'an object that throws when it becomes text': { toString: deaf, valueOf: deaf, [Symbol.toPrimitive]: deaf },
  'a boxed number': new Object(5),
  'an empty list': [],
  'a list of lists': [[[]], [{}]],
  'a list that throws when it is read': Object.defineProperty([1, 2], 0, { get: deaf, enumerable: true }),
  'a list with nearly endless holes': new Array(2 ** 32 - 1),
  'a long list': new Array(100_000).fill('0-9'),
  'a proxy that throws': new Proxy({}, { get: deaf, has: deaf, ownKeys: deaf, getPrototypeOf: deaf }),
  'a revoked proxy': revoked.proxy,
  'what looks like a signal': Object.create(AbortSignal.prototype),
};

const NUMBERS = { NaN: Number.NaN, Infinity: Number.POSITIVE_INFINITY, huge: 1e308, negative: -1e15, half: 0.1 };

/** Text that no number, choice, filter or list is written as. */
const TEXTS = {
  'a NUL': 'x\0y',
  'half a character': 'x\ud800y',
  'escapes for a terminal': 'x\x1b[31m\x07\x9b31m\u202ey',
  'a line of its own': 'x\nringtap: all is well',
  'a shell command': ';touch started|touch started&touch started',
  'a substitution': '$(touch started)`touch started`',
  'a command for DPDK': 'exec(touch started)',
  'a descriptor': 'fd(0)',
  'a file to write': 'tx_pcap=victim',
  'an object to load': '-d ./victim --file-prefix=../victim',
  'a path': '../../../../../../../../proc/version',
  'a format': '%s%s%n%x',
  'a name that every object has': '__proto__',
  'a long number': '9'.repeat(4096),
  'a long list of ranges': '0-99999,'.repeat(8000),
  'a megabyte': 'x'.repeat(MEGABYTE),
  'a megabyte of escapes': '\x1b'.repeat(MEGABYTE),
};

const TARGETS = {
  ...TEXTS,
  'a driver that runs a command': 'net_failsafe0,exec(touch started)',
  'a driver that writes a file': 'net_pcap0,tx_pcap=victim',
  'nothing but parameters': '?????',
  'many steps up': '../'.repeat(1300),
  'many folders': '/x'.repeat(2040),
};

// --- How it is judged ----------------------------------------------------------------------------------------------------

const faults = [];
let trials = 0;

const UNPRINTABLE = /(?!\n)\p{Cc}/u;

/** What is wrong with an error; undefined for one as it must be. */
function faultOf(error) {
  if (!(error instanceof CaptureError)) return `not a CaptureError, but ${inspect(error).slice(0, 200)}`;
  const { code, message, hint } = error;
  if (!/^RINGTAP_/.test(code) || code === 'RINGTAP_INTERNAL') return `code ${code}: ${message}`;
  if (typeof hint !== 'string' || hint.length < 10) return `no hint, but ${inspect(hint)}`;
  if (message.length > 10_000 || hint.length > 10_000) return `a message of ${message.length} characters`;
  if (UNPRINTABLE.test(inspect(error)) || /\p{Cf}/u.test(message + hint)) return `unprintable: ${inspect(message)}`;
  if (message.includes('\n') && code !== 'RINGTAP_BAD_FILTER') return `more than one line: ${inspect(message)}`;
  return undefined;
}

/** @param may what else is right: 'open' (the value may mean something), 'range' (a RangeError, as of a DataView) */
async function attempt(name, work, may = '') {
  trials++;
  const began = performance.now();
  const late = setTimeout(() => {
    console.error(`${name}: no answer in ${PATIENCE_MS} ms`);
    process.exit(3);
  }, PATIENCE_MS);
  try {
    const result = await work();
    if (result?.error instanceof Error) throw result.error; // how explain() refuses
    if (may !== 'open' && may !== 'range') faults.push(`${name}: was taken: ${inspect(result).slice(0, 200)}`);
    await result?.close?.();
  } catch (error) {
    const fault = may === 'range' && error instanceof RangeError ? undefined : faultOf(error);
    if (fault !== undefined) faults.push(`${name}: ${fault}`);
  }
  clearTimeout(late);
  if (performance.now() - began > PATIENCE_MS) faults.push(`${name}: took ${performance.now() - began} ms`);
}

/** Of what may be gone by now: a thread, or the descriptor that listed the others. */
const orNothing = (look) => (path) => {
  try {
    return look(path, 'utf8');
  } catch {
    return '';
  }
};
const read = orNothing(readFileSync);
const target = orNothing(readlinkSync);

/** What this process has open and running, and what lies in its folder. */
function traces() {
  const fds = readdirSync('/proc/self/fd').map((fd) => target(`/proc/self/fd/${fd}`).replace(/\d{3,}/, 'N'));
  const tasks = readdirSync('/proc/self/task');
  const children = tasks.map((task) => read(`/proc/self/task/${task}/children`).trim()).join('');
  const files = readdirSync('.', { recursive: true }).sort();
  const victim = readFileSync('victim', 'utf8');
  return { fds: fds.filter((fd) => fd !== '').sort(), threads: tasks.length, children, files, victim };
}

/** Runs what plants, and looks for what it left behind, beyond what a capture that ended well leaves. */
async function watched(plant, uri, options) {
  if (uri !== undefined) await open(uri, options).then((capture) => capture.close(), faultOf);
  await ringtap.devices();
  await ringtap.probe();
  await (await open('synth:?count=1')).close();
  await (await ringtap.listen('rpcap://127.0.0.1:0')).close(); // libuv keeps a spare descriptor from its first socket on
  await sleep(100);
  const before = traces();
  await plant();
  let after = traces();
  // Threads and handles that are on their way out may take a moment.
  for (let i = 0; i < 100 && inspect(after) !== inspect(before); i++) {
    await sleep(50);
    after = traces();
  }
  for (const kind of Object.keys(before)) {
    const [was, is] = [inspect(before[kind]), inspect(after[kind])];
    // The pool of libuv starts when it is first needed.
    if (kind === 'threads' ? after.threads > before.threads + 4 : was !== is)
      faults.push(`${kind} left: ${is}, not ${was}`);
  }
}

// --- Options and targets -------------------------------------------------------------------------------------------------

const encoded = new Map();
/** As it stands in a URI. */
function inUri(text) {
  if (!encoded.has(text)) encoded.set(text, text.isWellFormed() ? encodeURIComponent(text) : text);
  return encoded.get(text);
}
const entriesOf = (...tables) => tables.flatMap((table) => Object.entries(table));
/** A filter is compiled once all else is open, which takes its time, and is compiled alike everywhere. */
const FILTERS = ['a NUL', 'escapes for a terminal', 'a shell command', 'a megabyte'];
const textsFor = (type) => entriesOf(TEXTS).filter(([what]) => type !== 'filter' || FILTERS.includes(what));

async function plantOptions(scheme, target, rest) {
  const uri = `${scheme}:${target}`;
  const { options } = BACKENDS.find(({ name }) => name === scheme);
  const common = OPEN_OPTIONS.map((name) => ({ name, type: name === 'signal' ? 'signal' : 'boolean' }));
  for (const call of [explain, open]) {
    for (const { name, type } of [...options, ...common]) {
      const may = (value) => (type === 'string' && ['string', 'number'].includes(typeof value) ? 'open' : '');
      for (const [what, value] of [...entriesOf(THINGS, NUMBERS), ...textsFor(type)]) {
        if (type === 'number' && value === 0.1) continue;
        await attempt(
          `${call.name}('${uri}', { ${name}: ${what} })`,
          () => call(uri, { ...rest, [name]: value }),
          may(value),
        );
      }
      for (const [what, text] of textsFor(type)) {
        const whole = `${uri}${uri.includes('?') ? '&' : '?'}${name}=${inUri(text)}`;
        const { [name]: _, ...others } = rest;
        await attempt(`${call.name}('${uri}?${name}=' + ${what})`, () => call(whole, others), may(text));
      }
    }
    for (const [what, text] of entriesOf(TEXTS)) {
      await attempt(`${call.name}('${uri}', { [${what}]: 1 })`, () => call(uri, { ...rest, [text]: 1 }));
      await attempt(`${call.name}('${uri}?' + ${what})`, () => call(`${uri}?${inUri(text)}=1`, rest));
    }
    for (const [what, text] of entriesOf(TARGETS)) {
      await attempt(`${call.name}('${scheme}:' + ${what})`, () => call(`${scheme}:${text}`, rest));
      await attempt(`${call.name}('${scheme}:' + ${what}, encoded)`, () => call(`${scheme}:${inUri(text)}`, rest));
    }
  }
}

// --- Polluted prototypes -------------------------------------------------------------------------------------------------

/** What becomes of a few calls, good and bad. */
async function outcomes() {
  const told = [];
  const fieldsOf = ({ code, message, hint, backend, uri }) => ({ code, message, hint, backend, uri });
  const tell = (work) =>
    work().then(
      (result) => told.push(result instanceof Object && result.error ? fieldsOf(result.error) : result),
      (error) => told.push(fieldsOf(error)),
    );
  for (const uri of [
    'synth:?count=3&filter=udp or tcp',
    'synth:?seed=x',
    'file:nosuch.pcap',
    'rpcap:x',
    'x:y',
    'auto:',
  ]) {
    await tell(async () => {
      const capture = await open(uri);
      const { plan } = capture;
      const packets = capture.nextSync()?.length;
      await capture.close();
      return { plan, packets, dropped: capture.stats().dropped };
    });
    await tell(() => explain(uri));
  }
  await tell(async () => {
    const writer = await openWriter('/dev/null');
    const capture = await open('synth:?count=3');
    await writer.write(capture.tryNext());
    await Promise.all([writer.close(), capture.close()]);
    return writer.stats();
  });
  await tell(() => openTransmitter('synth:'));
  await tell(async () => {
    const capture = await open('synth:?count=3');
    const { srcPort, flags } = decodePacket(capture.tryNext().copy(0));
    await capture.close();
    return { srcPort, flags };
  });
  return told;
}

async function plantInPrototypes() {
  const schema = BACKENDS.flatMap((backend) => [...Object.keys(backend), ...backend.options.flatMap(Object.keys)]);
  const names = BACKENDS.flatMap(({ options }) => options.map(({ name }) => name));
  const fields = ['linkType', 'code', 'uri', 'syscall', 'errno', 'hint', 'position', 'backend', 'target'];
  const before = await outcomes();
  for (const name of new Set([...names, ...OPEN_OPTIONS, ...schema, ...fields])) {
    trials++;
    Object.prototype[name] = 'hostile';
    const found = await outcomes();
    delete Object.prototype[name];
    for (const [i, outcome] of found.entries()) {
      const [was, is] = [before[i], outcome].map((value) => inspect(value, { depth: 9 }));
      if (was !== is) faults.push(`Object.prototype.${name}: ${is}, not ${was}`);
    }
  }
}

// --- Functions and methods -----------------------------------------------------------------------------------------------

/** A good call of every exported function. What is exported and not listed is a fault. */
const HANDLER = new URL('./count-flows.mjs', import.meta.url);
const GOOD = {
  open: ['synth:?count=1', {}],
  explain: ['synth:?count=1', {}],
  openTransmitter: ['synth:', {}],
  openWriter: ['nowhere/out.pcap', {}],
  probe: [],
  devices: [],
  linkTypeName: [],
  listen: ['rpcap://127.0.0.1:0', {}],
  indexTrace: ['nowhere/trace.pcap'],
  serve: [{}],
  replay: ['synth:?count=1', 'synth:', {}],
  openParallel: ['synth:?count=1', { handler: HANDLER, workers: 1 }],
  openInline: ['x: lo 10.1.0.2 -> 10.1.0.5 => lo 10.2.0.5 -> 10.2.0.2', {}],
  parseRules: ['x', 'rules'],
  formatRule: [{}],
  userLine: ['name', 'password'],
  tunnelOf: [{}, 0],
};
/** Exported for `instanceof`; only ringtap makes them. */
const CLASSES = ['CaptureError'];
/** Public by name only: what objects use among themselves. */
const INTERNAL = {};
/** How a method is called that rejects with what it was given. */
const OWN = {
  'iterator.throw': (iterator, reason) =>
    iterator.throw(reason).catch((error) => {
      if (!Object.is(error, reason)) throw error;
    }),
};
/** Options of methods. */
const OPTIONS_OF = {
  'writer.write': ['select', 'signal'],
  'transmitter.sendBatch': ['select', 'from', 'count'],
  'transmitter.forward': ['select', 'from', 'count', 'rewrite'],
  'transmitter.flush': ['signal'],
  'transmitter.drain': ['signal'],
};
/** Reading by index throws RangeError beyond the end, as DataView does. */
const INDEXED = ['batch.data', 'batch.copy', 'batch.timeNs', 'packet.u8', 'packet.u16', 'packet.u32'];

async function plantArguments() {
  for (const [name, value] of Object.entries(ringtap)) {
    if (typeof value !== 'function' || CLASSES.includes(name)) continue;
    const good = GOOD[name];
    if (good === undefined) {
      faults.push(`${name}() is exported, but hostile.mjs does not know how to call it`);
      continue;
    }
    for (const [i, place] of ['uri', 'options'].slice(0, Math.max(1, good.length)).entries()) {
      for (const [what, planted] of entriesOf(THINGS, NUMBERS, TEXTS)) {
        // A writer may well make a file of any name: here it has no folder to do so.
        const argument = name === 'openWriter' && typeof planted === 'string' ? `nowhere/${planted}` : planted;
        const call = () => value(...good.slice(0, i), argument, ...good.slice(i + 1));
        // Own properties are options, and these have none.
        const isBlank = place === 'options' && /^an object|boxed|looks like/.test(what);
        const isText = name === 'userLine' && typeof planted === 'string'; // any password, and most names
        await attempt(`${name}(): ${place} is ${what}`, call, good.length === 0 || isBlank || isText ? 'open' : '');
      }
    }
  }
}

/** What workers are told, option by option. */
async function plantInParallel() {
  const names = ['handler', 'workers', 'hash', 'onWorkerExit', 'restarts', 'hangMs', 'onFault', 'cpus', 'reduce'];
  for (const [what, value] of entriesOf(THINGS, NUMBERS, TEXTS)) {
    for (const name of [...names, 'reportLimit']) {
      if (name === 'handler' && typeof value === 'string' && what !== 'a path') continue; // each takes a thread to refuse
      const options = { handler: HANDLER, workers: 1, [name]: value };
      const may = name === 'onFault' && typeof value === 'function' ? 'open' : '';
      await attempt(`openParallel({ ${name}: ${what} })`, () => ringtap.openParallel('synth:?count=1', options), may);
    }
  }
}

/** What a daemon is told, option by option, and of a host that it connects to. */
async function plantInServing() {
  const good = { host: '127.0.0.1', port: 0, nullAuth: true };
  const names = [
    ...['host', 'port', 'fd', 'passive', 'active', 'authenticate', 'users', 'nullAuth', 'allow', 'scheme', 'sources'],
    ...['sourcesOnly', 'capture', 'shared', 'datagramBytes', 'flushMs', 'snaplen', 'maxClients', 'memoryBytes'],
    ...['sendBufferBytes', 'recoveryBytes', 'zstd', 'user', 'tls', 'onEvent', 'signal'],
  ];
  for (const [what, value] of entriesOf(THINGS, NUMBERS, TEXTS)) {
    for (const name of names) {
      const may = /sources|capture|active|allow|authenticate|onEvent|scheme/.test(name) ? 'open' : '';
      await attempt(`serve({ ${name}: ${what} })`, () => ringtap.serve({ ...good, [name]: value }), may);
    }
    for (const name of ['host', 'port', 'ifname', 'ifaddr']) {
      const active = [{ [name]: value }];
      await attempt(`serve({ active: [{ ${name}: ${what} }] })`, () => ringtap.serve({ ...good, active }), 'open');
    }
    await attempt(`serve({ active: [${what}] })`, () => ringtap.serve({ ...good, active: [value] }), '');
    await attempt(`serve({ allow: [${what}] })`, () => ringtap.serve({ ...good, allow: [value] }), 'open');
    await attempt(
      `serve({ sources: { x: ${what} } })`,
      () => ringtap.serve({ ...good, sources: { x: value } }),
      'open',
    );
  }
}

/** The entry point ringtap/decode: what it takes, and what its objects do. */
async function plantInDecoding() {
  const capture = await open('synth:?count=1000&batchSize=64');
  const batch = capture.tryNext();
  const decoded = decode(batch);
  const frame = batch.copy(0);
  for (const [what, value] of entriesOf(THINGS, NUMBERS, TEXTS)) {
    const isBlank = /^an object|boxed|looks like|list|function/.test(what) ? 'open' : '';
    await attempt(`decode(${what})`, () => decode(value));
    await attempt(`decode(…, ${what})`, () => decode(batch, value));
    await attempt(`new Decoded(${what})`, () => new Decoded(value));
    await attempt(`decoded.src(${what})`, () => decoded.src(value), 'range');
    await attempt(`decodePacket(${what})`, () => decodePacket(value));
    await attempt(`decodePacket(…, ${what})`, () => decodePacket(frame, value), isBlank);
    await attempt(`decodePacket(…, …, ${what})`, () => decodePacket(frame, {}, value));
    for (const name of ['linkType', 'offset', 'caplen', 'wirelen']) {
      if (value === null) continue; // as if it were not there
      await attempt(`decodePacket(…, { ${name}: ${what} })`, () => decodePacket(frame, { [name]: value }));
    }
  }
  await capture.close();
}

/** The entry point ringtap/flow: what a meter takes, and what its records do. */
async function plantInFlows() {
  const capture = await open('synth:?count=1000&batchSize=64');
  const meter = new FlowMeter({ maxFlows: 10 });
  meter.add(capture.tryNext());
  meter.flush();
  const [flows] = meter.drain();
  for (const [what, value] of entriesOf(THINGS, NUMBERS, TEXTS)) {
    const isBlank = /^an object|boxed|looks like|function/.test(what) ? 'open' : '';
    await attempt(`meter.add(${what})`, () => meter.add(value));
    await attempt(`meter.advance(${what})`, () => meter.advance(value));
    await attempt(`new FlowMeter(${what})`, () => new FlowMeter(value), isBlank);
    for (const name of ['record', 'eve', 'src', 'dst']) {
      await attempt(`flows.${name}(${what})`, () => flows[name](value), 'range');
    }
    for (const name of [
      ...['activeTimeoutMs', 'idleTimeoutMs', 'lingerMs', 'maxFlows', 'decap', 'key', 'sampling'],
      ...['protocols', 'communityId'],
    ]) {
      const isSet = name === 'key' || name === 'sampling';
      if (value === null) continue; // as if it were not there
      await attempt(
        `new FlowMeter({ ${name}: ${what} })`,
        () => new FlowMeter({ [name]: value }),
        isSet ? isBlank : '',
      );
      if (!isSet) continue;
      const inner = name === 'key' ? 'vlan' : 'flows';
      await attempt(`new FlowMeter({ ${name}: { ${what} } })`, () => new FlowMeter({ [name]: { [inner]: value } }));
      if (name !== 'sampling') continue;
      await attempt(
        `new FlowMeter({ sampling: { interfaces: ${what} } })`,
        () => new FlowMeter({ sampling: { interfaces: value } }),
        isBlank,
      );
    }
    if (typeof value === 'string')
      await attempt(`new FlowMeter({ [${what}]: 1 })`, () => new FlowMeter({ [value]: 1 }));
  }
  await capture.close();
}

/** A good call of what opens or makes each exporter; those that are made by nobody have none. */
const EXPORTERS = {
  IpfixExporter: (uri, options) => exporting.IpfixExporter.open(uri ?? 'udp://127.0.0.1:9', options),
  NetflowExporter: (uri, options) => exporting.NetflowExporter.open(uri ?? 'udp://127.0.0.1:9', options),
  CsvExporter: (path, options) => exporting.CsvExporter.open(path ?? '/dev/null', options),
  JsonLinesExporter: (path, options) => exporting.JsonLinesExporter.open(path ?? '/dev/null', options),
  ParquetExporter: (path, options) => exporting.ParquetExporter.open(path ?? '/dev/null', options),
  MetricsExporter: (_, options) => new exporting.MetricsExporter(options),
  FlowExporter: undefined,
};
const EXPORT_OPTIONS = {
  IpfixExporter:
    'observationDomain messageBytes interface sampling refreshMs overflow closeMs bufferBytes biflow times enterprise',
  NetflowExporter: 'observationDomain messageBytes interface sampling refreshMs overflow closeMs bufferBytes',
  CsvExporter: 'overwrite',
  JsonLinesExporter: 'overwrite',
  ParquetExporter: 'overwrite rowGroupRows rowGroupMs',
  MetricsExporter: 'applications',
};

/** The entry point ringtap/export: where records may go, how, and which. */
async function plantInExports() {
  for (const name of Object.keys(exporting)) {
    if (!(name in EXPORTERS)) faults.push(`${name} is exported, but hostile.mjs does not know how to make it`);
  }
  for (const [name, make] of Object.entries(EXPORTERS)) {
    if (make === undefined) continue;
    const exporter = await make(undefined, {});
    const isOfFiles = /Csv|Json|Parquet/.test(name);
    for (const [what, value] of entriesOf(THINGS, NUMBERS, TEXTS)) {
      const isBlank = /^an object|boxed|looks like|function/.test(what) ? 'open' : '';
      const isEmpty = /^an object|boxed|an empty list|looks like|function/.test(what) ? 'open' : '';
      const target = isOfFiles && typeof value === 'string' ? `nowhere/${value}` : value;
      if (name !== 'MetricsExporter') await attempt(`${name}.open(${what})`, () => make(target ?? [], {}));
      await attempt(`${name}(…, ${what})`, () => make(undefined, value), isBlank);
      await attempt(`${name}.write(${what})`, () => exporter.write(value));
      if (name === 'IpfixExporter') await attempt(`${name}.account(${what})`, () => exporter.account(value));
      for (const option of EXPORT_OPTIONS[name].split(' ')) {
        if (option === 'enterprise' && value === 0.1) continue;
        const may = /interface|sampling|applications/.test(option) ? isEmpty : '';
        if (option === 'applications' && value === null) continue; // as if it were not there
        await attempt(`${name}(…, { ${option}: ${what} })`, () => make(undefined, { [option]: value }), may);
        if (option === 'interface')
          await attempt(`${name}(…, { interface: { index: ${what} } })`, () =>
            make(undefined, { interface: { index: value } }),
          );
        if (option === 'applications')
          await attempt(
            `${name}(…, { applications: { x: ${what} } })`,
            () => make(undefined, { applications: { x: value } }),
            /empty list/.test(what) ? 'open' : '',
          );
      }
      if (typeof value === 'string')
        await attempt(`${name}(…, { [${what}]: 1 })`, () => make(undefined, { [value]: 1 }));
    }
    await exporter.close();
  }
}

/** The entry point ringtap/streams: what it reads from, writes with, and is told. */
async function plantInStreams() {
  const capture = await open('synth:?count=1000&batchSize=64');
  for (const [what, value] of entriesOf(THINGS, NUMBERS, TEXTS)) {
    const isBlank = /^an object|boxed|looks like|list|function/.test(what) ? 'open' : '';
    for (const read of [streams.readBatches, streams.readPackets, streams.readTrace]) {
      const close = (stream) => ({ close: () => new Promise((done) => stream.once('close', done).destroy()) });
      await attempt(`${read.name}(${what})`, () => read(value));
      await attempt(`${read.name}(…, ${what})`, () => close(read(capture, value)), isBlank);
      const option = read === streams.readTrace ? 'format' : 'highWaterMark';
      await attempt(`${read.name}(…, { ${option}: ${what} })`, () => read(capture, { [option]: value }));
    }
    await attempt(`writeTo(${what})`, () => streams.writeTo(value));
  }
  await capture.close();
}

function methodsOf(object) {
  const names = new Set();
  for (let at = object; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Reflect.ownKeys(at)) {
      const { value } = Object.getOwnPropertyDescriptor(at, name);
      // WHY not inspect.custom: Node calls it, with options of its own making.
      if (typeof value === 'function' && name !== 'constructor' && name !== inspect.custom) names.add(name);
    }
  }
  return names;
}

/** How each public object is had; what has to be closed afterwards comes first. */
const OBJECTS = {
  capture: async () => {
    const capture = await open('synth:?count=1000&batchSize=64');
    return [capture, capture];
  },
  iterator: async () => {
    const capture = await open('synth:?count=1000&batchSize=64');
    return [capture, capture[Symbol.asyncIterator]()];
  },
  batch: async () => {
    const capture = await open('synth:?count=1000&batchSize=64');
    return [capture, capture.tryNext()];
  },
  packet: async () => {
    const capture = await open('synth:?count=1000&batchSize=64');
    return [capture, capture.tryNext()[Symbol.iterator]().next().value];
  },
  writer: async () => {
    const capture = await open('synth:?count=1000&batchSize=64');
    const writer = await openWriter('/dev/null', { linkType: 1 });
    return [{ close: () => Promise.all([capture.close(), writer.close()]) }, writer, capture.tryNext()];
  },
  transmitter: async (uri) => {
    const transmitter = await openTransmitter(uri);
    return [transmitter, transmitter];
  },
};

async function plantInMethods(sender) {
  for (const [kind, make] of Object.entries(OBJECTS)) {
    if (kind === 'transmitter' && sender === undefined) continue;
    const sample = await make(sender);
    await sample[0].close();
    for (const name of methodsOf(sample[1])) {
      if (INTERNAL[kind]?.includes(name)) continue;
      const [owner, object, first] = await make(sender);
      const may = INDEXED.includes(`${kind}.${String(name)}`) ? 'range' : 'open';
      for (const [what, value] of entriesOf(THINGS, NUMBERS, TEXTS)) {
        const own = OWN[`${kind}.${String(name)}`];
        await attempt(`${kind}.${String(name)}(${what})`, () => (own ? own(object, value) : object[name](value)), may);
        if (own === undefined)
          await attempt(`${kind}.${String(name)}(…, ${what})`, () => object[name](first, value), may);
        for (const option of OPTIONS_OF[`${kind}.${String(name)}`] ?? []) {
          const call = () => object[name](...(first === undefined ? [] : [first]), { [option]: value });
          await attempt(`${kind}.${String(name)}({ ${option}: ${what} })`, call, 'open');
        }
      }
      await owner.close().catch(() => {});
    }
  }
}

// -------------------------------------------------------------------------------------------------------------------------

const [what, ...args] = process.argv.slice(2);
if (what === 'options') {
  const [scheme, target, text = '{}'] = args;
  const rest = JSON.parse(text);
  await watched(() => plantOptions(scheme, target, rest), `${scheme}:${target}`, rest);
} else if (what === 'prototypes') {
  await watched(plantInPrototypes);
} else {
  await watched(async () => {
    await plantArguments();
    await plantInServing();
    await plantInParallel();
    await plantInDecoding();
    await plantInFlows();
    await plantInExports();
    await plantInStreams();
    await plantInMethods(args[0]);
  });
}
console.log(JSON.stringify({ trials, faults }));
