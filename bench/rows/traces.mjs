// The commands over trace files beside the tools that people use for the same, start of Node included.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cpuSeconds } from '../lib/processes.mjs';
import { figure } from '../lib/report.mjs';
import { writeTrace } from '../lib/trace.mjs';

export const name = 'traces';
export const about =
  'info, convert, merge, compression and rotation beside the tools of Wireshark, tcpdump and the compressors';

const FOLDER = '/var/tmp';
const RINGTAP = [process.execPath, fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))];
const PARTS = 8;
/** Else root's tcpdump becomes a user who may not write here. */
const AS_ROOT = process.getuid() === 0 ? ['-Z', 'root'] : [];

export async function run(bench) {
  const folder = mkdtempSync(join(FOLDER, 'ringtap-bench-'));
  bench.onCleanUp(() => rmSync(folder, { recursive: true, force: true }));
  const { packets, runs } = bench.profile.traces;
  for (const [sizes, counts] of Object.entries(packets)) {
    // WHY two lengths: what a program costs to start is less of the longer one, and their difference has none of it.
    let short;
    for (const count of counts) {
      const trace = new Traces(folder, sizes, count);
      await trace.make(short === undefined);
      const seconds = new Map();
      for (const row of rowsOf(trace)) {
        if (short !== undefined && !row.scales) continue;
        await bench.attempt(row.what, () => seconds.set(row.what, compare(bench, trace, row, runs)));
        const [less, more] = [short?.seconds.get(row.what), seconds.get(row.what)];
        if (less !== undefined && more !== undefined) further(bench, sizes, row, count - short.count, less, more);
      }
      short = { count, seconds };
      trace.remove();
    }
  }
  rmSync(folder, { recursive: true, force: true });
}

class Traces {
  constructor(folder, sizes, packets) {
    Object.assign(this, { folder, sizes, packets });
  }

  path(file) {
    return join(this.folder, file);
  }

  /** @param packed for the rows of compression, too */
  async make(packed) {
    const uri = (seed, count) => `synth:?sizes=${this.sizes}&seed=${seed}&count=${count}&bufferBytes=67108864`;
    await writeTrace(this.path('in.pcap'), uri(1, this.packets));
    for (let i = 1; i <= PARTS; i++) {
      await writeTrace(this.path(`part${i}.pcap`), uri(i, Math.ceil(this.packets / PARTS)));
    }
    const input = this.path('in.pcap');
    if (packed) this.#pack(input);
    execFileSync('sync', ['-f', input]); // or writing them out would be measured
  }

  #pack(input) {
    execFileSync('zstd', ['-q', '-1', '-f', input, '-o', `${input}.zst`]);
    execFileSync('lz4', ['-q', '-1', '-f', input, `${input}.lz4`]);
    execFileSync('sh', ['-c', 'gzip -6 -c "$1" > "$1.gz"', 'sh', input]);
  }

  remove() {
    for (const file of readdirSync(this.folder)) rmSync(this.path(file));
  }
}

/** Each: what both do, ours, the peer's command, and how many times as fast ours is to be. */
function rowsOf(trace) {
  const is64 = trace.sizes === '64';
  const input = trace.path('in.pcap');
  const out = trace.path('out.pcap');
  const parts = Array.from({ length: PARTS }, (_, i) => trace.path(`part${i + 1}.pcap`));
  const common = [
    row('info', ['info', input], ['capinfos', input], 15, 'capinfos, with its hashes'),
    row('info', ['info', input], ['capinfos', '-csduaeyizxolE', input], is64 ? 6 : 2.5, 'capinfos without hashes'),
    row(
      'convert',
      ['convert', '--force', input, out],
      ['editcap', '-F', 'nsecpcap', input, out],
      is64 ? 3 : 1.7,
      'editcap',
    ),
  ];
  if (!is64) return common;
  const copy = ['capture', '-q', '-r', input, '--force', '-w', out];
  const packed = `${out}.zst`;
  return [
    ...common,
    row(
      `merge of ${PARTS}`,
      ['merge', '--force', '-w', out, ...parts],
      ['mergecap', '-F', 'nsecpcap', '-w', out, ...parts],
      2.4,
      'mergecap, same format',
    ),
    row(
      `merge of ${PARTS}`,
      ['merge', '--force', '-w', out, ...parts],
      ['mergecap', '-w', out, ...parts],
      3,
      'mergecap, its default',
    ),
    row('stats of .zst', ['stats', `${input}.zst`], ['zstd', '-q', '-dc', `${input}.zst`], 1, 'zstd -dc'),
    row('stats of .lz4', ['stats', `${input}.lz4`], ['lz4', '-q', '-dc', `${input}.lz4`], 0.8, 'lz4 -dc'),
    row('stats of .gz', ['stats', `${input}.gz`], ['gzip', '-dc', `${input}.gz`], 1.8, 'gzip -dc'),
    row(
      'convert to .zst',
      ['convert', '--force', input, packed],
      ['zstd', '-q', '-f', '-1', input, '-o', packed],
      1.4,
      'zstd -1',
    ),
    row(
      'convert to .zst',
      ['convert', '--force', input, packed],
      ['zstd', '-q', '-f', '-1', '--single-thread', input, '-o', packed],
      1.1,
      'zstd -1 --single-thread',
    ),
    row(
      'rotation every 20 MB',
      [...copy, '-b', 'filesize:20000'],
      ['tcpdump', ...AS_ROOT, '-r', input, '-w', out, '-C', '20'],
      4,
      'tcpdump -C',
    ),
    row('rotation every 20 MB', [...copy, '-b', 'filesize:20000'], [...RINGTAP, ...copy], 0.97, 'none'),
  ];
}

function row(what, ours, peer, least, peerName) {
  const scales = /^(info|convert|merge) ?/.test(what) && !what.includes('.zst');
  return { what: `${what} and ${peerName}`, ours: [...RINGTAP, ...ours], peer, goal: { least }, peerName, scales };
}

/** In turns, after one of each that does not count. The seconds of CPU that each took. */
function compare(bench, { sizes, packets, folder }, { what, ours, peer, goal, peerName }, runs) {
  const seconds = { ours: [], peer: [] };
  for (let run = -1; run < runs; run++) {
    for (const [side, command] of Object.entries({ ours, peer })) {
      const took = cpuSeconds(command, folder);
      if (run >= 0) seconds[side].push(took);
    }
  }
  const speeds = (side) => seconds[side].map((each) => packets / each / 1e6);
  bench.ratio(`traces: ${what}: ${sizeText(sizes)}, ${figure(packets / 1e6)} M packets, start included`, {
    ours: speeds('ours'),
    peer: speeds('peer'),
    peerName,
    unit: 'Mpps of CPU',
    goal,
  });
  return seconds;
}

/** What a packet costs, the start of the program left out: what more packets took. */
function further(bench, sizes, { what, goal, peerName }, packets, less, more) {
  const speeds = (side) => more[side].map((each, i) => packets / (each - less[side][i]) / 1e6);
  bench.ratio(`traces: ${what}: ${sizeText(sizes)}, each of ${figure(packets / 1e6)} M further packets`, {
    ours: speeds('ours'),
    peer: speeds('peer'),
    peerName,
    unit: 'Mpps of CPU',
    goal,
  });
}

const sizeText = (sizes) => (sizes === 'imix' ? 'IMIX' : `${sizes} B`);
