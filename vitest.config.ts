import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const built = (name: string) => existsSync(new URL(`build/addon/${name}`, import.meta.url));

// Stand-ins for PF_RING's kernel module and library (native/test/pfring). They take the place of real ones.
const standIn = (name: string) =>
  fileURLToPath(new URL(`build/addon/lib/libpfring-standin-${name}.so`, import.meta.url));
const pfring: Record<string, string> = existsSync(standIn('module'))
  ? { LD_PRELOAD: standIn('module'), RINGTAP_LIBPFRING: standIn('library') }
  : {};

// Every test imports 'ringtap', which resolves to dist/ through the package's own exports: what is tested is what ships.
export default defineConfig({
  test: {
    pool: 'forks',
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts', 'test/standin/**/*.test.ts'],
          env: pfring,
          setupFiles: ['test/support/require-lab.ts'],
          fileParallelism: false,
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'live',
          include: ['test/live/**/*.test.ts'],
          setupFiles: ['test/support/require-lab.ts'],
          fileParallelism: false,
          testTimeout: 30_000,
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
          testTimeout: 90_000,
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
      { extends: true, test: { name: 'dist', include: ['test/dist/**/*.test.ts'], testTimeout: 120_000 } },
    ],
  },
});
