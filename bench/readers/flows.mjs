// node flows.mjs TRACE: meters it once for each line on stdin. `columns`: records are drained as columns. `json`: they are
// written as lines of JSON, into the file that stdout is not. `loop`: a loop over columns of all of them, which is what is
// measured, and `protobuf` alike: they are written as messages. `memory`: what is resident with all flows open.
import { closeSync, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { open } from 'ringtap';
import { FlowMeter } from 'ringtap/flow';
import { print, sayReady } from './work.mjs';

const [trace, output] = process.argv.slice(2);
const MANY = 4096;

async function metered(options, take) {
  const capture = await open(`file:${trace}`, { batchSize: MANY });
  const meter = new FlowMeter(options);
  let records = 0;
  const drain = () => {
    for (const flows of meter.drain()) {
      records += flows.length;
      take(flows);
    }
  };
  const before = process.cpuUsage();
  for await (const batch of capture) if (meter.add(batch) > MANY) drain();
  const full = options === undefined ? undefined : process.memoryUsage().rss;
  meter.flush();
  drain();
  const { user, system } = process.cpuUsage(before);
  await capture.close();
  return { user, system, packets: meter.stats().packets, records, full };
}

/** Sums what both ends have sent. */
function look({ length, ipBytesToServer, ipBytesToClient, packetsToServer, packetsToClient, protocol }) {
  let sum = 0;
  for (let i = 0; i < length; i++) {
    if (protocol[i] === 6) sum += ipBytesToServer[i] + ipBytesToClient[i];
    else sum += packetsToServer[i] + packetsToClient[i];
  }
  return sum;
}

/** What it takes to do something with all records. */
async function each(work) {
  const all = [];
  await metered(undefined, (flows) => all.push(flows));
  let sum = 0;
  for (const flows of all) sum += work(flows); // V8 has compiled it by the next time
  const before = process.cpuUsage();
  for (const flows of all) sum += work(flows);
  const { user, system } = process.cpuUsage(before);
  return { user, system, records: all.reduce((count, { length }) => count + length, 0), sum };
}

const modes = {
  columns: () => metered(undefined, () => {}),
  async json() {
    const file = openSync(output, 'w');
    const result = await metered(undefined, (flows) => writeSync(file, flows.toJsonLines()));
    closeSync(file);
    return result;
  },
  loop: () => each(look),
  protobuf: () => each((flows) => flows.toProtobuf().length),
  /** Nothing ends, so that all flows are open at once. */
  async memory() {
    const before = process.memoryUsage().rss;
    const never = { idleTimeoutMs: 3_600_000, activeTimeoutMs: 3_600_000, lingerMs: 3_600_000 };
    const { full, records } = await metered(never, () => {});
    return { bytes: (full - before) / records, records };
  },
};

sayReady();
for await (const line of createInterface({ input: process.stdin })) print(await modes[line]());
