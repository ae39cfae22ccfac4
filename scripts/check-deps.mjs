// Dependencies point one way: lib → addon → core ← backends . Finds every include and import
// that runs against it.
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { filesIn, root } from './files.mjs';

const violations = [];
const report = (path, line, rule) => violations.push(`${path}:${line}: ${rule}`);

// --- C++ -----------------------------------------------------------------------------------------------------------

// Layer → the layers whose headers it may include, besides its own.
const LAYERS = {
  core: ['generated'],
  linux: ['core'],
  filter: ['core'],
  format: ['core'],
  io: ['core'],
  write: ['core', 'format', 'io'],
  libpcap: ['core', 'filter'],
  backends: ['core', 'linux', 'filter', 'format', 'io', 'libpcap', 'backends', 'generated'], // of backends: its own folder
  addon: ['core', 'filter', 'format', 'libpcap', 'write', 'backends', 'generated'],
};
// Tests and fuzz targets see everything but the addon: they run without Node.
const BESIDE = ['core', 'linux', 'filter', 'format', 'io', 'write', 'libpcap', 'backends', 'generated', 'test', 'fuzz'];
const NODE_HEADER = /^(napi[.-]|node|uv[./]|js_native_api|v8)/;

/** native/backends/afpacket/ring.cc → { layer: 'backends', unit: 'backends/afpacket', isTest }. */
function nativePlace(path) {
  const [, layer, name] = path.split('/');
  const isTest = layer === 'test' || layer === 'fuzz' || /_test\.(cc|h)$/.test(path);
  return { layer, unit: layer === 'backends' ? `backends/${name}` : layer, isTest };
}

/** What is wrong with this include, if anything. */
function includeFault(from, name, isSystem) {
  if (NODE_HEADER.test(name) && from.layer !== 'addon') return `only native/addon may include ${name}`;
  const isNeighbour = !name.includes('/');
  if (isSystem || isNeighbour) return undefined;
  const allowed = from.isTest ? BESIDE : LAYERS[from.layer];
  if (allowed === undefined) return `native/${from.layer} is no layer that check-deps.mjs knows`;
  const to = nativePlace(`native/${name}`);
  if (to.unit === from.unit) return undefined;
  const isSibling = from.layer === 'backends' && to.layer === 'backends' && !from.isTest;
  if (allowed.includes(to.layer) && !isSibling) return undefined;
  return `native/${from.unit} may not include ${name} (only its own files and ${allowed.filter((layer) => layer !== from.layer).join(', ')})`;
}

for (const path of filesIn(['native'], /\.(h|cc)$/)) {
  const from = nativePlace(path);
  for (const [i, line] of readFileSync(join(root, path), 'utf8').split('\n').entries()) {
    const include = /^\s*#\s*include\s+([<"])([^>"]+)[>"]/.exec(line);
    const fault = include && includeFault(from, include[2], include[1] === '<');
    if (fault) report(path, i + 1, fault);
  }
}

// --- TypeScript ------------------------------------------------------------------------------------------------------

const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)['"]([^'"]+)['"]/g;

/** Each import of a file as { specifier, line, target }: target is a path from the root if the specifier is relative. */
function importsOf(path) {
  const text = readFileSync(join(root, path), 'utf8');
  return [...text.matchAll(IMPORT)].map((match) => ({
    specifier: match[1],
    line: text.slice(0, match.index).split('\n').length,
    target: match[1].startsWith('.') ? normalize(join(dirname(path), match[1])) : undefined,
  }));
}

for (const path of filesIn(['lib'], /\.ts$/)) {
  for (const { specifier, line, target } of importsOf(path)) {
    if (target !== undefined && !target.startsWith('lib/') && target !== 'package.json')
      report(path, line, `lib may not import ${specifier}: it is outside lib/`);
    if (target?.startsWith('lib/cli/') && !path.startsWith('lib/cli/'))
      report(path, line, `only lib/cli may import ${specifier}`);
    const loadsAddon = specifier.endsWith('.node') || specifier === 'node-gyp-build';
    if (loadsAddon && path !== 'lib/native/native.ts')
      report(path, line, `only lib/native/native.ts loads the addon (${specifier})`);
  }
}
for (const path of filesIn(['examples', 'bench'], /\.(ts|mts|js|mjs)$/)) {
  const [folder] = path.split('/');
  for (const { specifier, line, target } of importsOf(path)) {
    if (target !== undefined && !target.startsWith(`${folder}/`) && !target.startsWith('scripts/')) {
      report(path, line, `${folder} may import ringtap by its name only, not ${specifier}`);
    }
    if (specifier.startsWith('ringtap/') && specifier !== 'ringtap/package.json')
      report(path, line, `${specifier} is not public`);
  }
}

for (const violation of violations) console.error(violation);
process.exitCode = violations.length > 0 ? 1 : 0;
