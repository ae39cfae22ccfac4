// Test programs, each inside a lab where this host has one.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './files.mjs';
import { labCommand, labSupport, runForeground } from './lab.mjs';

/** Native tests. Those that count traffic have the machine to themselves (native/test/CMakeLists.txt: SERIAL). */
export const ctest = (...args) => [
  'ctest',
  ...['--test-dir', 'build/addon', '--output-on-failure', '--no-tests=error'],
  ...['--parallel', String(availableParallelism())],
  ...args,
];

export const vitest = (...args) => [process.execPath, join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...args];

/**
 * Runs all of them, whatever fails: { title: argv }, one after the other. Those of `together` come then, side by side, each in a lab
 * of its own; what they print comes as a whole when all have ended, what failed last, since whoever reads a log begins at its end.
 * Each as { title, passed, seconds }, and an exit code for the process.
 */
export async function runSuite(programs, together = {}) {
  const { reason } = labSupport();
  if (reason !== undefined) console.warn(`Without a lab, tests that need an interface are skipped: ${reason}`);
  process.chdir(root);
  const run = async ([title, argv], stdio) => {
    const begin = performance.now();
    const [file, ...args] = argv;
    const command = reason === undefined ? labCommand(argv) : { file, args, env: process.env };
    const status = await runForeground({ ...command, stdio });
    return { title, passed: status === 0, seconds: (performance.now() - begin) / 1000 };
  };
  const held = async (folder, program, index) => {
    const log = join(folder, String(index));
    const output = openSync(log, 'a');
    const result = await run(program, ['inherit', output, output]);
    closeSync(output);
    return { ...result, log };
  };
  const results = [];
  for (const program of Object.entries(programs)) results.push(await run(program));
  if (Object.keys(together).length > 0) {
    const folder = mkdtempSync(join(tmpdir(), 'ringtap-suite-'));
    console.log(`Side by side, shown when they have ended: ${Object.keys(together).join(', ')}`);
    const ended = await Promise.all(Object.entries(together).map((program, index) => held(folder, program, index)));
    for (const { log } of ended.toSorted((a, b) => Number(b.passed) - Number(a.passed)))
      process.stdout.write(readFileSync(log));
    rmSync(folder, { recursive: true });
    results.push(...ended);
  }
  for (const { title, passed, seconds } of results)
    console.log(`${passed ? 'ok    ' : 'FAILED'} ${title} (${seconds.toFixed(0)} s)`);
  if (results.some(({ passed }) => !passed)) process.exitCode = 1;
  return results;
}
