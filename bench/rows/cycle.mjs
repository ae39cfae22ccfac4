// Opening and closing many times: what the process still holds afterwards.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { probe } from 'ringtap';
import { reader, runReader } from '../lib/processes.mjs';
import { figure } from '../lib/report.mjs';
import { median } from '../lib/stats.mjs';
import { writeTrace } from '../lib/trace.mjs';

export const name = 'cycle';
export const about = 'opening and closing, thousands of times';

const MOST_MIB = 1;

export async function run(bench) {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-bench-'));
  bench.onCleanUp(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'trace.pcap');
  await writeTrace(path, 'synth:?count=1000');
  const here = (await probe()).filter(({ available }) => available).map(({ backend }) => backend);
  const live = ['afpacket', 'pcap', 'afxdp'].filter((backend) => bench.wires !== undefined && here.includes(backend));
  const { times, liveTimes } = bench.profile.cycle;
  for (const uri of ['synth:', `file:${path}`]) await cycle(bench, uri, times, 1);
  // Side by side: the kernel takes tens of milliseconds to close a packet socket. AF_XDP has one queue to offer.
  for (const backend of live) {
    const atOnce = backend === 'afxdp' ? 1 : 4;
    await bench.attempt(`${backend}: cycle`, () => cycle(bench, `${backend}:${bench.wires.rx}`, liveTimes, atOnce));
  }
  rmSync(folder, { recursive: true, force: true });
}

async function cycle(bench, uri, count, atOnce) {
  const result = await runReader(reader('cycle', uri, count, atOnce));
  const [backend] = uri.split(':');
  bench.raw[`cycle ${backend}`] = result;
  const [first, ...rest] = result.samples;
  const last = rest.at(-1);
  // The last quarter beside the one before it: pools and arenas have filled by then, so that a rise is a leak.
  const rss = (from, to) => median(rest.slice(rest.length * from, rest.length * to).map(({ rssKiB }) => rssKiB));
  const growthMiB = (rss(0.75, 1) - rss(0.5, 0.75)) / 1024;
  bench.add({
    what: `${backend}: ${count} × open and close`,
    figures: {
      descriptors: `${first.fds} → ${last.fds}`,
      threads: `${first.threads} → ${last.threads}`,
      RSS: `${figure(first.rssKiB / 1024)} → ${figure(last.rssKiB / 1024)} MiB`,
    },
    result: `RSS grows by ${figure(growthMiB)} MiB from the third to the last quarter`,
    goal: { most: MOST_MIB },
    pass: last.fds <= first.fds && last.threads <= first.threads && growthMiB <= MOST_MIB,
    note: `${figure((result.seconds * 1000) / (count * 0.9))} ms each, ${atOnce} at a time`,
  });
}
