import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { pfring } from './test/support/standin.js';

const built = (name: string) => existsSync(new URL(`build/addon/${name}`, import.meta.url));

// Every test imports 'ringtap', which resolves to dist/ through the package's own exports: what is tested is what ships.
export default defineConfig({
  test: {
    pool: 'forks',
    testTimeout: 200_000, // patience with a busy machine, not a promise
    hookTimeout: 60_000,
    projects: [
      // They share nothing: side by side, before what counts traffic, which has the machine to itself.
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], maxWorkers: 2, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: {
          name: 'packages',
          include: ['packages/*/test/**/*.test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts', 'test/standin/**/*.test.ts'],
          env: pfring,
          setupFiles: ['test/support/require-lab.ts'],
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'live',
          include: ['test/live/**/*.test.ts'],
          setupFiles: ['test/support/require-lab.ts'],
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'dpdk',
          // Where libdpdk is not, what is said about that.
          include: [built('Release/ringtap_dpdk.so') ? 'test/dpdk/**/*.test.ts' : 'test/dpdk/missing.test.ts'],
          setupFiles: ['test/support/require-lab.ts'],
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'types',
          include: [],
          typecheck: { enabled: true, only: true, include: ['test/types/**/*.test-d.ts'] },
        },
      },
      // npm run test:long
      {
        extends: true,
        test: { name: 'long', include: process.env.RINGTAP_LONG === undefined ? [] : ['test/long/**/*.test.ts'] },
      },
      { extends: true, test: { name: 'dist', include: ['test/dist/**/*.test.ts'] } },
    ],
  },
});
