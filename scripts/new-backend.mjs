// `node scripts/new-backend.mjs <name>`: a folder for a new capture method. It works at birth: it makes packets by itself and
// passes the conformance suites. docs/adding-a-backend.md tells how to go on.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './files.mjs';

// What C++ would not take as the name of a function's end or of a namespace.
const RESERVED = ['std', 'auto', 'core', 'linux', 'filter', 'unix', 'test', 'addon', 'native', 'namespace', 'class'];

const [name] = process.argv.slice(2);
if (!/^[a-z][a-z0-9]*$/.test(name ?? '')) {
  console.error(
    'usage: node scripts/new-backend.mjs <name>   (lower-case letters and digits: it becomes the URI scheme)',
  );
  process.exit(2);
}
const folder = join(root, 'native/backends', name);
if (existsSync(folder) || RESERVED.includes(name)) {
  console.error(existsSync(folder) ? `native/backends/${name} exists` : `${name} means something else already`);
  process.exit(1);
}

const skeleton = join(root, 'scripts/skeletons/backend');
mkdirSync(folder);
for (const file of readdirSync(skeleton)) {
  const text = readFileSync(join(skeleton, file), 'utf8')
    .replaceAll('@name@', name)
    .replaceAll('@Name@', name[0].toUpperCase() + name.slice(1));
  writeFileSync(join(folder, file.replace(/^backend(?=\.(cc|h)$)/, name)), text);
}

/** Of the tools that lay the text out and write what is derived from it, those that are here. */
for (const argv of [
  [process.execPath, join(root, 'scripts/generate.mjs')],
  [process.execPath, join(root, 'scripts/api.mjs')],
  [
    'clang-format-14',
    '-i',
    ...['.cc', '.h'].map((ending) => join(folder, name + ending)),
    join(folder, 'conformance.cc'),
  ],
]) {
  const { status, error } = spawnSync(argv[0], argv.slice(1), { cwd: root, stdio: 'inherit' });
  if (status !== 0 && error?.code !== 'ENOENT') process.exit(1);
}
console.log(
  `native/backends/${name} is there, and works: npm run test:backend ${name}. docs/adding-a-backend.md goes on.`,
);
