// `npm test`: set up, then the native tests and vitest, inside labs. Arguments go to vitest.
// `npm run test:dpdk`: only what is about DPDK.
import { setup } from './setup.mjs';
import { ctest, runSuite, vitest } from './suite.mjs';

setup({ for: 'test' });
const [first, ...others] = process.argv.slice(2);
const projects = (...names) => vitest(...names.map((name) => `--project=${name}`));
if (first === '--dpdk') {
  await runSuite({ 'native tests': ctest('-R', 'dpdk'), vitest: [...projects('dpdk'), ...others] });
} else if (first !== undefined) {
  await runSuite({ 'native tests': ctest(), vitest: vitest(first, ...others) });
} else {
  await runSuite(
    { 'native tests': ctest(), 'what needs no traffic': projects('unit', 'packages', 'types', 'dist') },
    // They wait for packets and for time more than they compute.
    { 'capture methods': projects('conformance', 'dpdk'), live: projects('live') },
  );
}
