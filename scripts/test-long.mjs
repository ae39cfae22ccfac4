// `npm run test:long [NAME…]`: what takes too long for `npm test`. CONTRIBUTING.md says who runs it when; what ran, on what and how
// it ended goes into docs/test-long.md, which is committed.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesIn, root } from './files.mjs';
import { makeMinbase } from './minbase.mjs';
import { setup } from './setup.mjs';
import { runSuite, vitest } from './suite.mjs';

const RECORD = join(root, 'docs/test-long.md');
const FUZZ_SECONDS = 60;
const cmake = (preset, ...targets) =>
  ['cmake', '--build', '--preset', preset, '--parallel', '2', ...targets.flatMap((name) => ['--target', name])].join(
    ' ',
  );
/** Configures and builds a preset, then runs what is given in a shell. */
const sh = (preset, command) => ['sh', '-ec', `cmake --preset ${preset} > /dev/null\n${cmake(preset)}\n${command}`];

/** Each fuzz target that is built, from what is committed, for a while. */
const FUZZ = `for target in build/fuzz/native/fuzz/fuzz_*; do
  name=\${target##*/fuzz_}
  corpus=$(mktemp -d)
  seeds=native/fuzz/corpus/$name
  echo "$name:"
  "$target" -max_total_time=${FUZZ_SECONDS} -print_final_stats=1 -verbosity=0 -artifact_prefix=build/fuzz/ "$corpus" $([ -d "$seeds" ] && echo "$seeds")
  rm -r "$corpus"
done`;

const RUNS = {
  lifetimes: {
    what: 'captures opened and closed 1,000 times, workers terminated in 8 rounds: every method',
    argv: vitest(...filesIn(['test'], /lifetimes\.test\.ts$/)),
  },
  skeleton: {
    what: 'scripts/new-backend.mjs makes a backend that builds and passes both conformance suites',
    argv: vitest('--project=long', 'test/long/new-backend.test.ts'),
  },
  prebuilds: {
    what: 'the tarball installed where no compiler is: package managers, Nodes, users; arm64 below qemu, musl',
    // Both ask servers, and a lab has none.
    before: () => {
      execFileSync('npm', ['run', '--silent', 'prebuilds'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
      makeMinbase();
    },
    argv: vitest('--project=long', 'test/long/installs.test.ts'),
  },
  killed: {
    what: 'writers killed at 200 random moments for each format, compression and with rotation: all but the last second is there',
    argv: vitest('--project=long', 'test/long/killed-writer.test.ts', 'test/long/crash.test.ts'),
  },
  inline: {
    what: 'a bump in the wire forwards 100 MiB, with checksum offload on and off',
    argv: vitest('--project=long', 'test/long/inline.test.ts'),
  },
  sustained: {
    what: 'a minute of capture to disk, flat out, and on a disk that stands still: nothing is lost',
    argv: vitest('--project=long', 'test/long/sustained.test.ts'),
  },
  collectors: {
    what: 'exported flows read by nfacctd: packets and bytes of each direction',
    argv: vitest('--project=long', 'test/long/collectors.test.ts'),
  },
  flows: {
    what: 'ten thousand and 100,000 flows in VLANs, tunnels and fragments, and a million: every number of every flow',
    argv: vitest('--project=long', 'test/long/flows.test.ts'),
  },
  asan: {
    what: 'native tests with AddressSanitizer and UndefinedBehaviorSanitizer',
    argv: sh('asan', 'ctest --preset asan --parallel 2'),
  },
  tsan: { what: 'native tests with ThreadSanitizer', argv: sh('tsan', 'ctest --preset tsan --parallel 2') },
  fuzz: { what: `each fuzz target for ${FUZZ_SECONDS} s`, argv: sh('fuzz', FUZZ) },
};

const HEAD = `<!-- Written by scripts/test-long.mjs. -->
# The long tests

\`npm run test:long\` runs what is too long for \`npm test\`; \`npm run test:long NAME…\` runs some of it. [CONTRIBUTING.md](../CONTRIBUTING.md) says who runs
what, and when. The last run of each, on the commit named and what lay on top of it:

| | what | date | commit | on | seconds | result |
|---|---|---|---|---|---|---|
`;

/** The rows of the last runs, by name. */
function recorded() {
  const text = existsSync(RECORD) ? readFileSync(RECORD, 'utf8') : '';
  return new Map([...text.matchAll(/^\| `(\w+)` \|.*$/gm)].map(([row, name]) => [name, row]));
}

function record(results) {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const changed = git('status', '--porcelain') === '' ? '' : ' and changes';
  const rows = recorded();
  for (const { title, passed, seconds } of results) {
    const cells = [
      RUNS[title].what,
      new Date().toISOString().slice(0, 10),
      git('rev-parse', '--short', 'HEAD') + changed,
      `Linux ${execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim().replace(/-.*/, '')}, Node ${process.versions.node}`,
      seconds.toFixed(0),
      passed ? 'passed' : '**failed**',
    ];
    rows.set(title, `| \`${title}\` | ${cells.join(' | ')} |`);
  }
  const known = Object.keys(RUNS).filter((name) => rows.has(name));
  writeFileSync(RECORD, `${HEAD}${known.map((name) => rows.get(name)).join('\n')}\n`);
}

const names = process.argv.slice(2);
const unknown = names.filter((name) => RUNS[name] === undefined);
if (unknown.length > 0) {
  const list = Object.entries(RUNS).map(([name, { what }]) => `  ${name.padEnd(10)} ${what}`);
  console.error(`usage: npm run test:long [NAME…]\n${list.join('\n')}`);
  process.exit(2);
}
setup({ for: 'long' });
process.env.RINGTAP_LONG = '1';
const chosen = names.length > 0 ? names : Object.keys(RUNS);
for (const name of chosen) RUNS[name].before?.();
record(await runSuite(Object.fromEntries(chosen.map((name) => [name, RUNS[name].argv]))));
