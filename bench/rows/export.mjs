// Records of flows into messages of IPFIX, and over loopback to somebody who counts them.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { cost, interleave } from '../lib/bench.mjs';
import { reader } from '../lib/processes.mjs';
import { figure, range } from '../lib/report.mjs';
import { spread } from '../lib/stats.mjs';

export const name = 'export';
export const about = 'flow records into IPFIX beside JavaScript over the same columns, and by UDP over loopback';

const RECORDS = 2_000_000;

export async function run(bench) {
  const { runs } = bench.profile.synth;
  const results = await interleave({ ours: reader('export', 'null'), js: reader('export', 'js') }, runs, RECORDS);
  bench.raw.export = results;
  bench.ratio('export: a record into IPFIX, both directions, to /dev/null', {
    ...{ ours: results.ours.map(cost), peer: results.js.map(cost), peerName: 'DataView', unit: 'ns' },
    goal: { most: 0.75 },
  });
  if (bench.wires === undefined) return bench.skip('export: by UDP', 'no lab');
  await bench.attempt('export: by UDP', () => overLoopback(bench, runs));
}

/** What nobody reads the kernel drops: this is what sending costs, and all that a collector here would get. */
async function overLoopback(bench, runs) {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 8 << 20 });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  try {
    const { udp } = await interleave({ udp: reader('export', 'udp', port) }, runs, RECORDS);
    bench.raw['export udp'] = udp;
    const perSecond = spread(udp.map(({ packets, wall }) => packets / wall)); // wall is in µs
    bench.table({
      title: 'Flow records as IPFIX over loopback, messages of 1400 bytes',
      note: `n = ${runs}`,
      head: ['million records/s', 'ns CPU a record', 'refused'],
      rows: [[range(perSecond), range(spread(udp.map(cost))), figure(udp.at(-1).stats.notSent.refused)]],
    });
  } finally {
    socket.close();
  }
}
