// Trace files in the page cache, beside libpcap.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { checkSame, interleave, speed } from '../lib/bench.mjs';
import { program, reader } from '../lib/processes.mjs';
import { figure } from '../lib/report.mjs';
import { writeTrace } from '../lib/trace.mjs';

export const name = 'file';
export const about = 'trace files beside libpcap';

const GOALS = { 64: { least: 3 }, imix: { least: 2 } };
/** On a disk, mostly: where traces lie. */
const DISK = '/var/tmp';
/** The page cache has the smallest pages there. */
const SHARED_MEMORY = '/dev/shm';
const ENOUGH_SHARED_MEMORY = 4 * 2 ** 30;

export async function run(bench) {
  const peer = program('peer-pcapfile');
  if (peer === undefined) return bench.skip('file', 'peer-pcapfile was not built: no libpcap headers');
  await compare(bench, peer, DISK);
  const { bavail, bsize } = statfsSync(SHARED_MEMORY);
  if (bavail * bsize > ENOUGH_SHARED_MEMORY) await compare(bench, peer, SHARED_MEMORY);
  else bench.skip(`file on ${SHARED_MEMORY}`, 'not enough room');
}

async function compare(bench, peer, parent) {
  const folder = mkdtempSync(join(parent, 'ringtap-bench-'));
  bench.onCleanUp(() => rmSync(folder, { recursive: true, force: true }));
  const system = execFileSync('df', ['--output=fstype', folder], { encoding: 'utf8' }).split('\n')[1];
  for (const [sizes, packets] of Object.entries(bench.profile.file.packets)) {
    const size = sizes === 'imix' ? 'IMIX' : `${sizes} B`;
    const what = `file: ${size}, ${figure(packets / 1e6)} M packets, on ${system}`;
    const path = join(folder, 'trace.pcap');
    await writeTrace(path, `synth:?sizes=${sizes}&count=${packets}&bufferBytes=67108864`);
    execFileSync('sync', [path]); // or writing it out would be measured
    const results = await interleave({ C: [peer, path], JS: reader('file', path) }, bench.profile.file.runs, '');
    checkSame(what, results);
    bench.raw[what] = results;
    const common = { peerName: 'pcap_dispatch', unit: 'Mpps', goal: parent === DISK ? GOALS[sizes] : undefined };
    bench.ratio(what, { ...common, ours: results.JS.map(speed), peer: results.C.map(speed) });
  }
  rmSync(folder, { recursive: true, force: true });
}
