// clang-tidy over every compiled C++ source. What was clean stays so until the file, a header of ours that it includes,
// or the configuration changes: the cache is build/clang-tidy.json.
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { root } from './files.mjs';

const PROGRAM = 'clang-tidy-14'; // Debian 12's; each version has opinions of its own
const CACHE = join(root, 'build/clang-tidy.json');
const DATABASE = join(root, 'build/addon/compile_commands.json');
// Two thirds of the time, for next to nothing found: only with --deep, before a release.
const SLOW = [
  'clang-analyzer-*',
  'bugprone-assert-side-effect',
  'bugprone-multiple-statement-macro',
  'bugprone-stringview-nullptr',
  'bugprone-suspicious-semicolon',
  'bugprone-suspicious-string-compare',
  'performance-type-promotion-in-math-fn',
];
const depth = process.argv.includes('--deep') ? [] : [`--checks=${SLOW.map((name) => `-${name}`)}`];

/** source file → the command that compiles it. */
function compiledFiles() {
  const found = new Map();
  if (!existsSync(DATABASE)) return found;
  for (const { file, command } of JSON.parse(readFileSync(DATABASE, 'utf8'))) {
    const path = relative(root, file);
    if (/^(native|bench)\/.*\.cc$/.test(path) && existsSync(file)) found.set(path, command);
  }
  return found;
}

/** A file's content with that of our own headers, all the way down. */
function addWithIncludes(hash, path, seen) {
  if (seen.has(path) || !existsSync(join(root, path))) return;
  seen.add(path);
  const text = readFileSync(join(root, path), 'utf8');
  hash.update(`${path}\0${text}\0`);
  for (const [, included] of text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)) {
    addWithIncludes(hash, join('native', included), seen);
    addWithIncludes(hash, join(dirname(path), included), seen);
  }
}

let version;
try {
  version = execFileSync(PROGRAM, ['--version'], { encoding: 'utf8' });
} catch (error) {
  console.error(`${PROGRAM}: ${error.message} (Debian 12: apt-get install clang-tidy)`);
  process.exit(1);
}
const configuration = version + depth + readFileSync(join(root, '.clang-tidy'), 'utf8');
const clean = new Set(existsSync(CACHE) ? JSON.parse(readFileSync(CACHE, 'utf8')) : []);
const files = compiledFiles();
if (files.size === 0) {
  console.error('no build/addon/compile_commands.json: npm run check sets up what is needed');
  process.exit(1);
}
const keys = new Map();
for (const [path, command] of files) {
  const hash = createHash('sha256').update(configuration).update(command.replaceAll(root, '')); // clones share what is clean
  addWithIncludes(hash, path, new Set());
  keys.set(path, hash.digest('hex'));
}

// Nine tenths of the time go to the standard library's headers, once for each file. So files that are compiled alike are
// read as one, and where these cannot be (two of one name) or have something to be told, each half of them again, down to
// a file by itself, whose verdict counts. Only what looks at nothing but the file itself (misc-unused-using-decls) is left
// to --deep, which reads each by itself.
const TOGETHER = process.argv.includes('--deep') ? 1 : 8;
const UNITS = join(root, 'build/clang-tidy');
const changed = [...keys].filter(([, key]) => !clean.has(key)).map(([path]) => path);
const queue = [];
for (const path of changed.toSorted()) {
  const flags = flagsOf(files.get(path)).join(' ');
  const names = namesOf(path);
  const fits = (unit) =>
    unit.flags === flags && unit.paths.length < TOGETHER && !names.some((name) => unit.names.has(name));
  let unit = queue.find(fits);
  if (unit === undefined) {
    unit = { flags, names: new Set(), paths: [] };
    queue.push(unit);
  }
  unit.paths.push(path);
  for (const name of names) unit.names.add(name);
}
let failures = 0;

/** What a file gives a name to, by and large: the first in a line that is not indented, and before what can follow one. */
function namesOf(path) {
  const lines = readFileSync(join(root, path), 'utf8').matchAll(
    /^(?!namespace|using namespace|TEST_CASE)\S.*?\b(\w+)(?= ?[({=;])/gm,
  );
  return [...lines].map(([, name]) => name);
}

/** What a command says beside the compiler, the source and where the object goes. */
function flagsOf(command) {
  const words = command.split(' ').filter((word) => word !== '');
  const compiler = words.findIndex((word) => /(\+\+|cc)(-\d+)?$/.test(word) && !word.endsWith('ccache'));
  return words
    .slice(compiler + 1)
    .filter((word, i, all) => !['-o', '-c'].includes(word) && !['-o', '-c'].includes(all[i - 1]));
}

function argumentsFor(paths) {
  if (paths.length === 1) return ['-p', dirname(DATABASE), ...depth, paths[0]];
  mkdirSync(UNITS, { recursive: true });
  const unit = join(UNITS, `${keys.get(paths[0])}.cc`);
  writeFileSync(unit, paths.map((path) => `#include "${join(root, path)}"\n`).join(''));
  const headers = '--header-filter=(native|bench)/.*\\.(h|cc)$';
  const checks = `${depth[0]},-bugprone-suspicious-include`; // it is what is done here
  return [`--config-file=${join(root, '.clang-tidy')}`, headers, checks, unit, '--', ...flagsOf(files.get(paths[0]))];
}

async function worker() {
  for (let unit = queue.shift(); unit !== undefined; unit = queue.shift()) {
    const { paths } = unit;
    try {
      await promisify(execFile)(PROGRAM, ['--quiet', ...argumentsFor(paths)], { cwd: root, maxBuffer: 1 << 26 });
      for (const path of paths) clean.add(keys.get(path));
    } catch (error) {
      if (paths.length > 1) {
        const half = Math.ceil(paths.length / 2);
        queue.push({ paths: paths.slice(0, half) }, { paths: paths.slice(half) });
        continue;
      }
      failures++;
      console.error(`${error.stdout ?? ''}${error.stdout ? '' : (error.stderr ?? error.message)}`.trimEnd());
    }
  }
}
console.log(`clang-tidy: ${changed.length} of ${files.size} files changed`);
await Promise.all(Array.from({ length: availableParallelism() }, worker));
rmSync(UNITS, { recursive: true, force: true });

const current = new Set(keys.values());
mkdirSync(dirname(CACHE), { recursive: true });
writeFileSync(CACHE, JSON.stringify([...clean].filter((key) => current.has(key))));
process.exitCode = failures > 0 ? 1 : 0;
