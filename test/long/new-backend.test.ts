// What scripts/new-backend.mjs makes builds, and passes the conformance suites at birth: in this folder, of which nothing
// of it is left behind.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { labSupport } from '../../scripts/lab.mjs';
import { scratchCommand } from '../../scripts/scratch.mjs';
import { root } from '../support/child.js';
import { start } from '../support/cli.js';

const MINUTES = 60_000;

/** Runs a shell script in the folder as if it were its own. */
async function inScratch(script: string) {
  const { file, args } = scratchCommand(['sh', '-ec', script]);
  const { code, stdout, stderr } = await start(file, args).outcome;
  if (code !== 0) throw new Error(`exit code ${code}\n${stdout.slice(-8000)}\n${stderr.slice(-8000)}`);
  return stdout;
}

test(
  'a new backend builds, passes both conformance suites and the checks of its sources',
  async () => {
    expect(labSupport().reason).toBeUndefined();
    const stdout = await inScratch(`
      node scripts/new-backend.mjs tick
      node scripts/generate.mjs --check
      node scripts/api.mjs --check
      node scripts/check-deps.mjs
      node scripts/clang-format.mjs
      NO_COLOR=1 node scripts/test-backend.mjs tick
      node dist/cli/main.js capture 'tick:?rate=1000' -c 3
      node scripts/new-backend.mjs tick 2>&1 && exit 1 || true`);
    expect(stdout).toMatch(/conformance_tick \.+ +Passed/);
    expect(stdout).toContain('100% tests passed');
    expect(stdout).toMatch(/conformance\.test\.ts \(\d\d tests\)/);
    expect(stdout).toMatch(/Tests {2}\d\d+ passed \(\d+\)/);
    expect(stdout.match(/ IP 10\.0\.0\.1\.4915\d > 10\.0\.0\.2\.9: UDP/g)).toHaveLength(3);
    expect(stdout).toContain('native/backends/tick exists');
    expect(existsSync(join(root, 'native/backends/tick'))).toBe(false);
  },
  20 * MINUTES,
);
