// Test programs, each inside a lab where this host has one.
import { availableParallelism } from 'node:os';
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
 * of its own. Each as { title, passed, seconds }, and an exit code for the process.
 */
export async function runSuite(programs, together = {}) {
  const { reason } = labSupport();
  if (reason !== undefined) console.warn(`Without a lab, tests that need an interface are skipped: ${reason}`);
  process.chdir(root);
  const run = async ([title, argv]) => {
    const begin = performance.now();
    const [file, ...args] = argv;
    const status = await runForeground(reason === undefined ? labCommand(argv) : { file, args, env: process.env });
    return { title, passed: status === 0, seconds: (performance.now() - begin) / 1000 };
  };
  const results = [];
  for (const program of Object.entries(programs)) results.push(await run(program));
  results.push(...(await Promise.all(Object.entries(together).map(run))));
  for (const { title, passed, seconds } of results)
    console.log(`${passed ? 'ok    ' : 'FAILED'} ${title} (${seconds.toFixed(0)} s)`);
  if (results.some(({ passed }) => !passed)) process.exitCode = 1;
  return results;
}
