// clang-tidy over every compiled C++ source. What was clean stays so until the file, a header of ours that it includes,
// or the configuration changes: the cache is build/clang-tidy.json.
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { root } from './files.mjs';

const PROGRAM = 'clang-tidy-14'; // Debian 12's; each version has opinions of its own
const CACHE = join(root, 'build/clang-tidy.json');

/** source file → { directory with its compile_commands.json, its command }. The addon's build knows most of them. */
function compiledFiles() {
  const found = new Map();
  for (const build of ['build/addon', 'build/dev']) {
    const database = join(root, build, 'compile_commands.json');
    if (!existsSync(database)) continue;
    for (const { file, command } of JSON.parse(readFileSync(database, 'utf8'))) {
      const path = relative(root, file);
      const ours = /^(native|bench)\/.*\.cc$/.test(path) && existsSync(file);
      if (ours && !found.has(path)) found.set(path, { build, command });
    }
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
const configuration = version + readFileSync(join(root, '.clang-tidy'), 'utf8');
const clean = new Set(existsSync(CACHE) ? JSON.parse(readFileSync(CACHE, 'utf8')) : []);
const files = compiledFiles();
if (files.size === 0) {
  console.error('no compile_commands.json in build/: run npm run build:native first');
  process.exit(1);
}
const keys = new Map();
for (const [path, { command }] of files) {
  const hash = createHash('sha256').update(configuration).update(command);
  addWithIncludes(hash, path, new Set());
  keys.set(path, hash.digest('hex'));
}

const queue = [...keys].filter(([, key]) => !clean.has(key)).map(([path]) => path);
let failures = 0;

async function worker() {
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    try {
      await promisify(execFile)(PROGRAM, ['--quiet', '-p', files.get(path).build, path], {
        cwd: root,
        maxBuffer: 1 << 26,
      });
      clean.add(keys.get(path));
    } catch (error) {
      failures++;
      console.error(`${error.stdout ?? ''}${error.stdout ? '' : (error.stderr ?? error.message)}`.trimEnd());
    }
  }
}
console.log(`clang-tidy: ${queue.length} of ${files.size} files changed`);
await Promise.all(Array.from({ length: availableParallelism() }, worker));

const current = new Set(keys.values());
mkdirSync(dirname(CACHE), { recursive: true });
writeFileSync(CACHE, JSON.stringify([...clean].filter((key) => current.has(key))));
process.exitCode = failures > 0 ? 1 : 0;
