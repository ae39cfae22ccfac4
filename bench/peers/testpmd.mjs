// node testpmd.mjs DEVICE: dpdk-testpmd, which receives and frees. For each number of milliseconds on stdin it runs for
// so long and says how many packets per second it counted. Its threads choose their cores themselves.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

const [device] = process.argv.slice(2);
const EAL = ['--no-huge', '--no-shconf', '-m', '1024', '--no-pci', '--no-telemetry', '--lcores', '0@0,1@1'];
const WARMUP_MS = 200;

const child = spawn('dpdk-testpmd', [...EAL, `--vdev=${device}`, '--', '--interactive', '--forward-mode=rxonly']);
let output = '';
for (const stream of [child.stdout, child.stderr]) {
  stream.on('data', (data) => {
    output += data;
  });
}
child.on('exit', () => process.exit(1));
process.on('exit', () => child.kill('SIGKILL'));

/** Gives a command, and waits for the prompt after it: what was printed meanwhile. */
async function command(text) {
  output = '';
  child.stdin.write(`${text}\n`);
  while (!/testpmd> $/.test(output.replace(`testpmd> ${text}`, ''))) await setTimeout(5);
  return output;
}

while (!output.includes('testpmd> ')) await setTimeout(20);
process.stderr.write('READY\n');
for await (const line of createInterface({ input: process.stdin })) {
  await command('start');
  await setTimeout(WARMUP_MS);
  await command('show port stats 0');
  await setTimeout(Number(line));
  // Rates are those since it was asked last.
  const [, pps] = (await command('show port stats 0')).match(/Rx-pps:\s+(\d+)/);
  await command('stop');
  process.stdout.write(`${JSON.stringify({ pps: Number(pps) })}\n`);
}
process.exit(0);
