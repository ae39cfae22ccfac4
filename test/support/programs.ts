// What a process or worker may do to a capture at any moment. Each program must end by itself, cleanly.

/** open(), with another number for {n} in the URI each time: for devices that have one capture at a time. */
const OPEN = `
import * as ringtap from 'ringtap';
const open = (uri, options) => ringtap.open(uri.replace('{n}', () => String(Math.random()).slice(2, 12)), options);
`;

/** Runs in a worker: captures `uri` in one way or another until it is terminated, or does it to itself. */
const WORKER = `${OPEN}
import { parentPort, workerData } from 'node:worker_threads';
const { uri, mode } = workerData;
const run = async () => {
  if (mode === 'open') {
    parentPort.postMessage('ready');
    for (;;) await (await open(uri)).close();
  }
  const capture = await open(uri);
  if (mode === 'nextSync') {
    parentPort.postMessage('ready');
    for (;;) capture.nextSync();
  }
  if (mode === 'closing') {
    capture.nextSync(100);
    parentPort.postMessage('ready');
    await capture.close();
    for (;;) await (await open(uri)).close();
  }
  const held = [];
  let packets = 0;
  if (mode === 'idle') {
    parentPort.postMessage('ready');
    setInterval(() => {}, 1000);
    return;
  }
  for await (const batch of capture) {
    if (mode === 'hold' && held.length < 2) held.push(batch.hold());
    if (packets === 0) parentPort.postMessage('ready');
    packets += batch.length;
    if (mode === 'exit') process.exit(0);
    if (mode === 'throw') throw new Error('thrown on purpose');
    if (mode === 'count' && packets > 20000) break;
  }
  await capture.close();
};
await run();
`;

/** Where several captures cannot have one target, the arguments are several targets, taken in turns. */
const URIS = `
const uris = process.argv.slice(1);
let turn = 0;
const uri = () => uris[turn++ % uris.length];
`;

const START = `
import { Worker } from 'node:worker_threads';
${URIS}
const source = ${JSON.stringify(WORKER)};
const spawn = (mode) =>
  new Worker(source, { eval: true, execArgv: ['--input-type=module'], workerData: { uri: uri(), mode } });
const start = (mode) => new Promise((resolve, reject) => {
  const worker = spawn(mode);
  worker.ended = new Promise((done) => worker.once('exit', done));
  worker.once('message', () => resolve(worker));
  worker.once('error', reject);
});
`;

const terminate = (mode: string) => `${START}
for (let round = 0; round < Number(process.env.RINGTAP_ROUNDS ?? 8); round++) {
  const workers = await Promise.all([start('${mode}'), start('${mode}')]);
  await new Promise((resolve) => setTimeout(resolve, round * 7));
  await Promise.all(workers.map((worker) => worker.terminate()));
}
console.log('done');`;

const READER = `${OPEN}
${URIS}
`;

export const programs: Readonly<Record<string, { source: string; flags?: readonly string[]; output?: string }>> = {
  'several workers capture at once': {
    source: `${START}
      const workers = await Promise.all(Array.from({ length: 4 }, () => start('count')));
      console.log((await Promise.all(workers.map(({ ended }) => ended))).join());`,
    output: '0,0,0,0',
  },
  'workers are terminated while they iterate': { source: terminate('iterate') },
  'workers are terminated while nextSync() blocks them': { source: terminate('nextSync') },
  'workers are terminated while they open': { source: terminate('open') },
  'workers are terminated while they close': { source: terminate('closing') },
  'workers are terminated while they hold batches': { source: terminate('hold') },
  'workers are terminated with an open capture that nobody reads': { source: terminate('idle') },
  'captures with a signal that outlives them are forgotten': {
    source: `${READER}
      const { signal } = new AbortController();
      const left = new Set();
      const registry = new FinalizationRegistry((number) => left.delete(number));
      process.on('warning', (warning) => { if (warning.name === 'MaxListenersExceededWarning') console.log(warning.name); });
      for (let i = 0; i < 12; i++) {
        const capture = await open(uri(), { signal });
        left.add(i);
        registry.register(capture, i);
      }
      for (let round = 0; round < 100 && left.size > 1; round++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        gc();
      }
      console.log(left.size <= 1 ? 'done' : left.size + ' left');
      process.exit(0);`,
    flags: ['--expose-gc'],
  },
  'workers exit inside the loop': {
    source: `${START}
      for (let round = 0; round < 5; round++) console.log(await (await start('exit')).ended);`,
    output: '0\n0\n0\n0\n0',
  },
  'workers throw inside the loop': {
    // Not start(): an error may overtake the message before it, as they come through ports of their own.
    source: `${START}
      const error = await new Promise((resolve) => spawn('throw').once('error', resolve));
      console.log(error.message);`,
    output: 'thrown on purpose',
  },
  'the process exits inside the loop': {
    source: `${READER}
      let batches = 0;
      for await (const batch of await open(uri())) if (++batches === 3) { console.log('done'); process.exit(0); }`,
  },
  'the process exits inside a batch, with others held': {
    source: `${READER}
      const held = [];
      for await (const batch of await open(uri())) {
        held.push(batch.hold());
        if (held.length === 2) for (const packet of batch) { packet.u8(0); console.log('done'); process.exit(0); }
      }`,
  },
  'the process exits from a timer while a read waits': {
    source: `${READER}
      const capture = await open(uri());
      setTimeout(() => { console.log('done'); process.exit(0); }, 50);
      for await (const batch of capture);`,
  },
  'the process ends with captures open and unread': {
    source: `${READER}
      const captures = [await open(uri()), await open(uri())];
      captures[0].nextSync(50);
      console.log('done');`,
  },
  'unclosed captures are garbage-collected': {
    flags: ['--expose-gc'],
    source: `${READER}
      import { readdirSync, readFileSync } from 'node:fs';
      const count = () => ({
        fds: readdirSync('/proc/self/fd').length,
        rings: readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((line) => line.includes('socket:')).length,
        threads: Number(/Threads:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]),
      });
      await (await open(uri())).close();
      const before = count(); // with the thread that opened it, if that is still ending
      const grew = () => Object.keys(before).some((what) => after[what] > before[what]);
      const use = async (n) => {
        for (let i = 0; i < n; i++) {
          const capture = await open(uri());
          const batch = capture.nextSync(20);
          if (batch !== null && i % 2 === 0) batch.hold();
          if (i % 3 === 0) capture.ref();
        }
      };
      await use(12);
      const deadline = performance.now() + 20_000;
      let after;
      do {
        globalThis.gc();
        await new Promise((resolve) => setTimeout(resolve, 20));
        after = count();
      } while (grew() && performance.now() < deadline);
      console.log(grew() ? JSON.stringify({ before, after }) : 'done');`,
  },
  'buffers are transferred away': {
    source: `${READER}
      for (const how of ['view', 'offset', 'both', 'post']) {
        const capture = await open(uri());
        const batch = capture.nextSync(20_000);
        const moved = [];
        const move = (buffer) => {
          try { moved.push(structuredClone(buffer, { transfer: [buffer] })); } catch (error) { moved.push(error.name); }
          if (buffer.transfer) try { moved.push(buffer.transfer()); } catch (error) { moved.push(error.name); }
        };
        if (how === 'post') {
          const { port1, port2 } = new MessageChannel();
          port2.close();
          try { port1.postMessage(batch.view.buffer, [batch.view.buffer]); } catch {}
          port1.close();
        }
        if (how !== 'offset' && how !== 'post') move(batch.view.buffer);
        if (how !== 'view' && how !== 'post') move(batch.offset.buffer);
        for (let i = 0; i < 20; i++) {
          try { for (const packet of capture.nextSync(20) ?? []) { packet.u8(0); packet.copy(); } } catch (error) { if (!(error instanceof Error)) throw error; }
        }
        await capture.close();
        for (const buffer of moved) if (buffer instanceof ArrayBuffer) new Uint8Array(buffer).fill(1);
        batch.release();
      }
      console.log('done');`,
  },
  'views are read after close, in optimised code, too': {
    flags: ['--expose-gc'],
    source: `${READER}
      const capture = await open(uri());
      const batch = capture.nextSync(20_000).hold();
      const { view, bytes, offset, caplen } = batch;
      const sum = () => { let s = 0; for (let i = 0; i < 256; i++) s += (bytes[offset[i]] ?? 0) + (caplen[i] ?? 0); return s; };
      for (let i = 0; i < 20000; i++) sum();
      await capture.close();
      globalThis.gc();
      if (sum() !== 0) throw new Error('views still show something');
      let thrown = 0;
      for (let i = 0; i < 5; i++) try { view.getUint8(0); } catch (error) { if (error instanceof TypeError) thrown++; }
      bytes[0] = 1;
      console.log(thrown === 5 ? 'done' : 'not thrown');`,
  },
};

/** Opens and closes many times over, and says what has grown. */
export const CYCLES = `${READER}
import { readdirSync, readFileSync } from 'node:fs';
const status = (name) => Number(new RegExp(name + ':\\\\s+(\\\\d+)').exec(readFileSync('/proc/self/status', 'utf8'))[1]);
const measure = () => ({ fds: readdirSync('/proc/self/fd').length, threads: status('Threads'), maps: readFileSync('/proc/self/maps', 'utf8').split('\\n').length, rss: status('VmRSS') });
const settle = async () => { for (let i = 0; i < 5; i++) { globalThis.gc(); await new Promise((resolve) => setTimeout(resolve, 20)); } };
const cycle = async (n, target) => {
  for (let i = 0; i < n; i++) {
    const capture = await open(target);
    if (i % 3 === 0) capture.tryNext()?.hold();
    if (i % 3 === 1) { const next = capture[Symbol.asyncIterator]().next(); await capture.close(); await next; }
    await capture.close();
  }
};
// Side by side: the kernel takes tens of milliseconds to close a packet socket.
const abreast = Number(process.env.RINGTAP_ABREAST ?? 10);
const cycles = (n) => Promise.all(Array.from({ length: abreast }, (_, i) => cycle(n / abreast, uris[i % uris.length])));
const count = Number(process.env.RINGTAP_CYCLES ?? 1000);
await cycles(Number(process.env.RINGTAP_WARMUP ?? count / 5));
await settle();
const before = measure();
await cycles(count);
await settle();
const after = measure();
console.log(JSON.stringify({ before, after }));
`;
