// `npm test`: set up, then the native tests and vitest, both inside a lab. Arguments go to vitest.
// `npm run test:dpdk`: only what is about DPDK.
import { join } from 'node:path';
import { labCommand, labSupport, runForeground } from './lab.mjs';
import { root, setup } from './setup.mjs';

const dpdk = process.argv[2] === '--dpdk';
setup({ for: 'test' });
const { reason } = labSupport();
if (reason !== undefined) console.warn(`Without a lab, tests that need an interface are skipped: ${reason}`);
const inLab = (argv) =>
  reason === undefined ? labCommand(argv) : { file: argv[0], args: argv.slice(1), env: process.env };

process.chdir(root);
const vitest = [process.execPath, join(root, 'node_modules/vitest/vitest.mjs'), 'run'];
const failed = [];
for (const [name, argv] of [
  ['native tests', ['ctest', '--test-dir', 'build/addon', '--output-on-failure', ...(dpdk ? ['-R', 'dpdk'] : [])]],
  ['vitest', [...vitest, ...(dpdk ? ['--project=dpdk'] : []), ...process.argv.slice(dpdk ? 3 : 2)]],
]) {
  if ((await runForeground(inLab(argv))) !== 0) failed.push(name);
}
if (failed.length > 0) {
  console.error(`failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}
