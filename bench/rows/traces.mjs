// The commands over trace files beside the tools that people use for the same, start of Node included.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { READER_CORE } from '../lib/processes.mjs';
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
  for (const [sizes, count] of Object.entries(packets)) {
    const trace = new Traces(folder, sizes, count);
    await trace.make();
    for (const row of rowsOf(trace)) await bench.attempt(row.what, () => compare(bench, trace, row, runs));
    trace.remove();
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

  async make() {
    const uri = (seed, count) => `synth:?sizes=${this.sizes}&seed=${seed}&count=${count}&bufferBytes=67108864`;
    await writeTrace(this.path('in.pcap'), uri(1, this.packets));
    for (let i = 1; i <= PARTS; i++) {
      await writeTrace(this.path(`part${i}.pcap`), uri(i, Math.ceil(this.packets / PARTS)));
    }
    const input = this.path('in.pcap');
    execFileSync('zstd', ['-q', '-1', '-f', input, '-o', `${input}.zst`]);
    execFileSync('lz4', ['-q', '-1', '-f', input, `${input}.lz4`]);
    execFileSync('sh', ['-c', 'gzip -6 -c "$1" > "$1.gz"', 'sh', input]);
    execFileSync('sync', ['-f', input]); // or writing them out would be measured
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
    row('rotation every 20 MB', [...copy, '-b', 'filesize:20000'], [...RINGTAP, ...copy], 1 / 1.03, 'none'),
  ];
}

function row(what, ours, peer, least, peerName) {
  return { what: `${what} and ${peerName}`, ours: [...RINGTAP, ...ours], peer, goal: { least }, peerName };
}

/** In turns, after one of each that does not count. */
function compare(bench, { sizes, packets, folder }, { what, ours, peer, goal, peerName }, runs) {
  const speeds = { ours: [], peer: [] };
  for (let run = -1; run < runs; run++) {
    for (const [side, command] of Object.entries({ ours, peer })) {
      const seconds = cpuSeconds(command, folder);
      if (run >= 0) speeds[side].push(packets / seconds / 1e6);
    }
  }
  const size = sizes === 'imix' ? 'IMIX' : `${sizes} B`;
  bench.ratio(`traces: ${what}: ${size}, ${figure(packets / 1e6)} M packets`, {
    ...speeds,
    peerName,
    unit: 'Mpps of CPU',
    goal,
  });
}

/** User and system time of a command, what it starts included. */
function cpuSeconds(command, cwd) {
  const timed = 'TIMEFORMAT="%3U %3S"; { time "$@" > /dev/null 2>&1; } 2>&1';
  const { stdout, status } = spawnSync(
    'taskset',
    ['-c', String(READER_CORE), 'bash', '-c', timed, 'bash', ...command],
    {
      cwd,
      encoding: 'utf8',
    },
  );
  const [user, system] = stdout.trim().split(' ').map(Number);
  if (status !== 0 || !(user >= 0)) throw new Error(`${command.slice(0, 4).join(' ')}: exit status ${status}`);
  return user + system;
}
