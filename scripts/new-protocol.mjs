// `node scripts/new-protocol.mjs <name>`: a folder for a new protocol. It works at birth: it tells the lines of a protocol of its
// own, and passes its tests. native/protocol/README.md tells how to go on.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './files.mjs';

// What C++ would not take as the name of a namespace, or what names a test already.
const RESERVED = [
  'std',
  'auto',
  'core',
  'linux',
  'filter',
  'unix',
  'test',
  'flow',
  'events',
  'stream',
  'class',
  'decode',
];

const [name] = process.argv.slice(2);
if (!/^[a-z][a-z0-9]*$/.test(name ?? '')) {
  console.error(
    'usage: node scripts/new-protocol.mjs <name>   (lower-case letters and digits: the type of its events)',
  );
  process.exit(2);
}
const folder = join(root, 'native/protocol', name);
if (existsSync(folder) || RESERVED.includes(name)) {
  console.error(existsSync(folder) ? `native/protocol/${name} exists` : `${name} means something else already`);
  process.exit(1);
}

const skeleton = join(root, 'scripts/skeletons/protocol');
mkdirSync(folder);
const made = readdirSync(skeleton).map((file) => {
  const text = readFileSync(join(skeleton, file), 'utf8')
    .replaceAll('@name@', name)
    .replaceAll('@Name@', name[0].toUpperCase() + name.slice(1));
  const path = join(folder, file.replace(/^protocol(?=[._])/, name));
  writeFileSync(path, text);
  return path;
});

/** Of the tools that lay the text out and write what is derived from it, those that are here. */
for (const argv of [
  [process.execPath, join(root, 'scripts/generate.mjs')],
  [process.execPath, join(root, 'scripts/api.mjs')],
  ['clang-format-14', '-i', ...made.filter((path) => /\.(cc|h)$/.test(path))],
]) {
  const { status, error } = spawnSync(argv[0], argv.slice(1), { cwd: root, stdio: 'inherit' });
  if (status !== 0 && error?.code !== 'ENOENT') process.exit(1);
}
console.log(`native/protocol/${name} is there, and works: npm run build, then build/addon/native/test/test_${name}.`);
