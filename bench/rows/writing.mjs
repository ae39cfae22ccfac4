// Traces written and compressed, without the start of a program: the writer beside pcap_dump() and the tools.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cost } from '../lib/bench.mjs';
import { cpuSeconds, Pinned, program, READER_CORE, reader } from '../lib/processes.mjs';
import { figure } from '../lib/report.mjs';
import { writeTrace } from '../lib/trace.mjs';

export const name = 'writing';
export const about =
  'traces written beside pcap_dump() in C, compressed and rotated beside the tools, found by their index';

const RINGTAP = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const DISK = '/var/tmp';
const MEMORY = '/dev/shm';
const ENOUGH_MEMORY = 4 * 2 ** 30;
/** What synth: has by default, so that packets are in the cache. */
const RING_BYTES = 2 ** 20;
const MEAN = { 64: 64, imix: 354 };
const GOALS = { tmpfs: { 64: 1.8, imix: 1.4 }, ext4: { 64: 3, imix: 3 } };
const AS_ROOT = process.getuid() === 0 ? ['-Z', 'root'] : [];
const PREALLOCATE_BYTES = 2 ** 26;
const sizeText = (sizes) => (sizes === 'imix' ? 'IMIX' : `${sizes} B`);

export async function run(bench) {
  const folder = mkdtempSync(join(DISK, 'ringtap-bench-'));
  const memory = mkdtempSync(join(MEMORY, 'ringtap-bench-'));
  const remove = () => {
    for (const each of [folder, memory]) rmSync(each, { recursive: true, force: true });
  };
  bench.onCleanUp(remove);
  const { bavail, bsize } = statfsSync(MEMORY);
  const places = bavail * bsize > ENOUGH_MEMORY ? [memory, folder] : [folder];
  for (const place of places) await bench.attempt(`writing: on ${place}`, () => plain(bench, place));
  await bench.attempt('writing: compression', () => packed(bench, folder));
  await bench.attempt('writing: rotation', () => rotated(bench, folder));
  await bench.attempt('writing: seek', () => seek(bench, folder));
  remove();
}

/** Several in turns, each a function that gives { user, system, packets }, after one of each that does not count. */
async function inTurns(runs, asked) {
  const results = Object.fromEntries(Object.keys(asked).map((name) => [name, []]));
  for (let run = -1; run < runs; run++) {
    for (const [name, ask] of Object.entries(asked)) {
      const result = await ask();
      if (run >= 0) results[name].push(result);
    }
  }
  return results;
}

async function pinned(command, use) {
  const process = new Pinned(READER_CORE, command);
  await process.ready;
  try {
    return await use(process);
  } finally {
    await process.end();
  }
}

/** Both write packets that are in the cache; what synth: alone costs is taken off. */
async function plain(bench, place) {
  const system = execFileSync('df', ['--output=fstype', place], { encoding: 'utf8' }).split('\n')[1].trim();
  const { runs, packets } = bench.profile.writing;
  for (const [sizes, count] of Object.entries(packets)) {
    const what = (rest) => `writing: ${rest}: ${sizeText(sizes)}, ${figure(count / 1e6)} M packets, on ${system}`;
    const from = `synth:?sizes=${sizes}&count=${count}`;
    const to = join(place, 'out');
    // WHY removed: to empty an old file costs much, and as much as whoever wrote it has left in memory.
    const anew = (ask) => () => {
      rmSync(to, { force: true });
      return ask();
    };
    const ours = (js, file, options) => anew(() => js.ask(JSON.stringify({ from, to: file, options })));
    const ring = join(place, 'ring.pcap');
    await writeTrace(ring, `synth:?sizes=${sizes}&count=${Math.floor(RING_BYTES / MEAN[sizes])}`);
    const results = await pinned(reader('write'), (js) => {
      const asked = {
        alone: () => js.ask(JSON.stringify({ from })),
        pcap: ours(js, `pcap:${to}`),
        pcapng: ours(js, `pcapng:${to}`),
        details: ours(js, `pcapng:${to}`, { packetDetails: true }),
        ...(system === 'tmpfs'
          ? {}
          : {
              direct: ours(js, `pcap:${to}`, { direct: true }),
              preallocated: ours(js, `pcap:${to}`, { preallocateBytes: PREALLOCATE_BYTES }),
            }),
      };
      const peer = program('peer-pcapdump');
      if (peer === undefined) return inTurns(runs, asked);
      return pinned([peer, ring], (c) => inTurns(runs, { ...asked, C: anew(() => c.ask(`${count} ${to}`)) }));
    });
    const net = (side) => results[side].map((each, i) => 1000 / (cost(each) - cost(results.alone[i])));
    const unit = 'Mpps of CPU';
    const least = GOALS[system]?.[sizes];
    if (results.C === undefined) bench.skip(what('pcap'), 'peer-pcapdump was not built: no libpcap headers');
    else {
      const peer = { peer: results.C.map((each) => 1000 / cost(each)), peerName: 'pcap_dump', unit };
      const goal = least === undefined ? undefined : { least };
      bench.ratio(what('pcap'), { ...peer, ours: net('pcap'), goal });
      if (results.direct !== undefined) {
        bench.ratio(what('pcap past the page cache'), { ...peer, ours: net('direct') });
        bench.ratio(what('pcap, 64 MiB of the disk claimed at once'), { ...peer, ours: net('preallocated') });
      }
    }
    const own = { peer: net('pcap'), peerName: 'our pcap', unit };
    bench.ratio(what('pcapng'), { ...own, ours: net('pcapng'), goal: { least: 0.85 } });
    bench.ratio(what('pcapng with packet details'), { ...own, ours: net('details'), goal: { least: 0.65 } });
    rmSync(to);
    rmSync(ring);
  }
}

/** From one file in the page cache to another, and back, everything included on both sides but the start of Node. */
async function packed(bench, folder) {
  const { runs, packets } = bench.profile.writing;
  for (const [sizes, count] of Object.entries(packets)) {
    const input = join(folder, 'in.pcap');
    await writeTrace(input, `synth:?sizes=${sizes}&count=${count}&bufferBytes=67108864`);
    execFileSync('zstd', ['-q', '-1', '-f', input, '-o', `${input}.zst`]);
    execFileSync('lz4', ['-q', '-1', '-f', input, `${input}.lz4`]);
    execFileSync('sh', ['-c', 'gzip -6 -c "$1" > "$1.gz"', 'sh', input]);
    execFileSync('sync', ['-f', input]);
    const out = join(folder, 'out.pcap.zst');
    const tool = (...command) => ({ user: cpuSeconds(command, folder) * 1e6, system: 0, packets: count });
    await pinned(reader('write'), async (js) => {
      const ours = (sections) => () =>
        js.ask(
          JSON.stringify({
            from: input,
            to: `pcap:${out}`,
            options: { overwrite: true, compress: { method: 'zstd', level: 1, sections } },
          }),
        );
      const results = await inTurns(runs, {
        plain: ours('none'),
        sections: ours('index'),
        tool: () => tool('zstd', '-q', '-f', '-1', input, '-o', out),
        single: () => tool('zstd', '-q', '-f', '-1', '--single-thread', input, '-o', out),
      });
      for (const [side, peer, peerName, least] of [
        ['plain', 'tool', 'zstd -1', 1.4],
        ['plain', 'single', 'zstd -1 --single-thread', 1.1],
        ['sections', 'tool', 'zstd -1', 1.2],
        ['sections', 'single', 'zstd -1 --single-thread', 0.95],
      ]) {
        const how = side === 'plain' ? '' : ' with sections';
        ratioOf(bench, `zstd -1${how} and ${peerName}: ${sizeText(sizes)}`, results, side, peer, peerName, least);
      }
    });
    for (const [suffix, command, least] of [
      ['zst', ['zstd', '-q', '-dc'], 1],
      ['lz4', ['lz4', '-q', '-dc'], 0.8],
      ['gz', ['gzip', '-dc'], 1.8],
    ]) {
      await pinned(reader('file', `${input}.${suffix}`), async (js) => {
        const results = await inTurns(runs, {
          ours: () => js.ask(''),
          tool: () => tool(...command, `${input}.${suffix}`),
        });
        const peerName = `${command[0]} -dc`;
        ratioOf(bench, `read .${suffix} and ${peerName}: ${sizeText(sizes)}`, results, 'ours', 'tool', peerName, least);
      });
    }
  }
}

function ratioOf(bench, what, results, side, peer, peerName, least) {
  const speeds = (name) => results[name].map((each) => 1000 / cost(each));
  bench.ratio(`writing: ${what}`, {
    ours: speeds(side),
    peer: speeds(peer),
    peerName,
    unit: 'Mpps of CPU',
    goal: { least },
  });
}

/** A new file every 100 MB. */
async function rotated(bench, folder) {
  const { runs, rotated: count } = bench.profile.writing;
  const input = join(folder, 'in.pcap');
  await writeTrace(input, `synth:?sizes=64&count=${count}&bufferBytes=67108864`);
  execFileSync('sync', ['-f', input]);
  const out = join(folder, 'rotated');
  const fresh = (action) => () => {
    rmSync(out, { recursive: true, force: true });
    mkdirSync(out);
    return action();
  };
  const to = `pcap:${join(out, 'a.pcap')}`;
  const results = await pinned(reader('write'), (js) =>
    inTurns(runs, {
      none: fresh(() => js.ask(JSON.stringify({ from: input, to }))),
      rotated: fresh(() => js.ask(JSON.stringify({ from: input, to, options: { rotate: { bytes: 100e6 } } }))),
      tcpdump: fresh(() => ({
        user: cpuSeconds(['tcpdump', ...AS_ROOT, '-r', input, '-w', join(out, 'a.pcap'), '-C', '100'], folder) * 1e6,
        system: 0,
        packets: count,
      })),
    }),
  );
  const size = `64 B, ${figure(count / 1e6)} M packets`;
  bench.ratio(`writing: a new file every 100 MB, and one: ${size}`, {
    ours: results.rotated.map(cost),
    peer: results.none.map(cost),
    peerName: 'one file',
    unit: 'ns',
    goal: { most: 1.03 },
  });
  ratioOf(bench, `a new file every 100 MB and tcpdump -C: ${size}`, results, 'rotated', 'tcpdump', 'tcpdump -C', 4);
}

/** Incompressible, so that the trace is as long as what it holds. */
async function seek(bench, folder) {
  const { seekBytes, seeks } = bench.profile.writing;
  const path = join(folder, 'long.pcap.zst');
  const count = Math.floor(seekBytes / (MEAN.imix + 16));
  await writeTrace(path, `synth:?sizes=imix&count=${count}&bufferBytes=268435456`);
  const bytes = statSync(path).size;
  const facts = JSON.parse(execFileSync(process.execPath, [RINGTAP, 'info', '--json', path], { encoding: 'utf8' }));
  const [first, last] = [facts.firstNs, facts.lastNs].map((ns) => String(Number(ns) / 1e9));
  const ms = [];
  await pinned(reader('seek', path, first, last), async (js) => {
    for (let i = -3; i < seeks; i++) {
      const { ms: took } = await js.ask('');
      if (i >= 0) ms.push(took);
    }
  });
  ms.sort((a, b) => a - b);
  const [median, worst] = [ms[ms.length >> 1], ms.at(-1)];
  bench.add({
    what: `writing: a time in ${figure(bytes / 1e9)} GB of .zst, by its index, to its first packets`,
    figures: { ringtap: `${figure(median)} (${figure(ms[0])}–${figure(worst)}) ms` },
    result: `${figure(median)} ms`,
    n: ms.length,
    goal: { most: 10 },
    pass: median <= 10,
    runs: { ms },
  });
}
