// Trace files in the page cache, beside libpcap.
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkSame, interleave, speed } from '../lib/bench.mjs';
import { program, reader } from '../lib/processes.mjs';
import { figure } from '../lib/report.mjs';
import { writeTrace } from '../lib/trace.mjs';

export const name = 'file';
export const about = 'trace files beside libpcap';

const GOALS = { 64: { least: 3 }, imix: { least: 2 } };
const ENOUGH_SHARED_MEMORY = 4 * 2 ** 30;

export async function run(bench) {
  const peer = program('peer-pcapfile');
  if (peer === undefined) return bench.skip('file', 'peer-pcapfile was not built: no libpcap headers');
  const { bavail, bsize } = statfsSync('/dev/shm');
  const folder = mkdtempSync(join(bavail * bsize > ENOUGH_SHARED_MEMORY ? '/dev/shm' : tmpdir(), 'ringtap-bench-'));
  bench.onCleanUp(() => rmSync(folder, { recursive: true, force: true }));
  for (const [sizes, packets] of Object.entries(bench.profile.file.packets)) {
    const what = `file: ${sizes === 'imix' ? 'IMIX' : `${sizes} B`}, ${figure(packets / 1e6)} M packets`;
    const path = join(folder, 'trace.pcap');
    await writeTrace(path, `synth:?sizes=${sizes}&count=${packets}&bufferBytes=67108864`);
    const results = await interleave({ C: [peer, path], JS: reader('file', path) }, bench.profile.file.runs, '');
    checkSame(what, results);
    bench.raw[what] = results;
    const common = { peerName: 'pcap_dispatch', unit: 'Mpps', goal: GOALS[sizes] };
    bench.ratio(what, { ...common, ours: results.JS.map(speed), peer: results.C.map(speed) });
  }
  rmSync(folder, { recursive: true, force: true });
}
