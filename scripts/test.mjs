// `npm test`: set up, then the native tests and vitest, both inside a lab. Arguments go to vitest.
// `npm run test:dpdk`: only what is about DPDK.
import { setup } from './setup.mjs';
import { ctest, runSuite, vitest } from './suite.mjs';

const dpdk = process.argv[2] === '--dpdk';
setup({ for: 'test' });
await runSuite({
  'native tests': ctest(...(dpdk ? ['-R', 'dpdk'] : [])),
  vitest: vitest(...(dpdk ? ['--project=dpdk'] : []), ...process.argv.slice(dpdk ? 3 : 2)),
});
