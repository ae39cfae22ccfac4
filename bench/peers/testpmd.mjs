// node testpmd.mjs DEVICE: dpdk-testpmd, which receives and frees. For each number of milliseconds on stdin it runs for
// so long and says how many packets per second it counted. Its threads choose their cores themselves.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

const [device] = process.argv.slice(2);
const EAL = ['--no-huge', '--no-shconf', '-m', '1024', '--no-pci', '--no-telemetry', '--lcores', '0@0,1@1'];
const WARMUP_MS = 200;

// WHY stdbuf: on a pipe it would keep its answers until they fill a buffer.
const TESTPMD = ['-oL', 'dpdk-testpmd', ...EAL, `--vdev=${device}`, '--', '--interactive', '--forward-mode=rxonly'];
const child = spawn('stdbuf', TESTPMD);
let output = '';
for (const stream of [child.stdout, child.stderr]) {
  stream.on('data', (data) => {
    output += data;
  });
}
child.on('exit', () => process.exit(1));
process.on('exit', () => child.kill('SIGKILL'));

/** Gives a command, and waits for the end of its answer: what was printed meanwhile. There is no prompt on a pipe. */
async function command(text, end) {
  output = '';
  child.stdin.write(`${text}\n`);
  while (!end.test(output)) await setTimeout(5);
  return output;
}

const show = () => command('show port stats 0', /Tx-bps:.*\n.*#{10}/);

while (!/link statuses[\s\S]*Done/.test(output)) await setTimeout(20);
process.stderr.write('READY\n');
for await (const line of createInterface({ input: process.stdin })) {
  await command('start', /packet forwarding/);
  await setTimeout(WARMUP_MS);
  await show();
  await setTimeout(Number(line));
  // Rates are those since it was asked last.
  const [, pps] = (await show()).match(/Rx-pps:\s+(\d+)/);
  await command('stop', /Done\./);
  process.stdout.write(`${JSON.stringify({ pps: Number(pps) })}\n`);
}
process.exit(0);
