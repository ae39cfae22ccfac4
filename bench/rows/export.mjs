// Records of flows as IPFIX, over loopback.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { cost, interleave } from '../lib/bench.mjs';
import { reader } from '../lib/processes.mjs';
import { figure, range } from '../lib/report.mjs';
import { spread } from '../lib/stats.mjs';

export const name = 'export';
export const about = 'flow records as IPFIX over loopback, beside a DataView over the same columns and node:dgram';

const RECORDS = 1_000_000;

/** What its socket has no room for the kernel drops: this is what sending costs, and what would get to a collector here. */
export async function run(bench) {
  if (bench.wires === undefined) return bench.skip('export', 'no lab');
  const { runs } = bench.profile.synth;
  const socket = createSocket({ type: 'udp4', recvBufferSize: 8 << 20 });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  const commands = { ours: reader('export', 'ringtap', port), dgram: reader('export', 'dgram', port) };
  const { ours, dgram } = await interleave(commands, runs, RECORDS).finally(() => socket.close());
  bench.raw.export = { ours, dgram };
  bench.ratio('export: a record as IPFIX by UDP, both directions, messages of 1400 bytes', {
    ...{ ours: ours.map(cost), peer: dgram.map(cost), peerName: 'DataView and node:dgram', unit: 'ns' },
    goal: { most: 0.5 },
  });
  bench.table({
    title: 'Flow records as IPFIX over loopback',
    note: `n = ${runs}`,
    head: ['', 'million records/s', 'ns CPU a record', 'refused'],
    rows: Object.entries({ ringtap: ours, 'node:dgram': dgram }).map(([who, all]) => [
      who,
      range(spread(all.map(({ packets, wall }) => packets / wall))), // of µs
      range(spread(all.map(cost))),
      figure(all.at(-1).stats?.notSent.refused ?? 0),
    ]),
  });
}
