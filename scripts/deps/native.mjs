// #includes that run against an arrow, and circles of files.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { filesIn } from '../files.mjs';
import { BESIDE, LAYERS, SEPARATE } from './arrows.mjs';
import { circles } from './circles.mjs';

const NODE_HEADER = /^(napi[.-]|node|uv[./]|js_native_api|v8)/;

/** native/backends/afpacket/ring.cc → { layer: 'backends', unit: 'backends/afpacket', isTest }. */
function placeOf(path) {
  const [, layer, ...rest] = path.split('/');
  const isTest =
    layer === 'test' || layer === 'fuzz' || /(_(test|fuzz)\.(cc|h)|\/conformance[a-z_]*\.(cc|h))$/.test(path);
  const unit = SEPARATE.includes(layer) && rest.length > 1 ? `${layer}/${rest[0]}` : layer;
  return { layer, unit, isTest };
}

function includesOf(root, path) {
  return readFileSync(join(root, path), 'utf8')
    .split('\n')
    .map((text, i) => ({ match: /^\s*#\s*include\s+([<"])([^>"]+)[>"]/.exec(text), line: i + 1 }))
    .filter(({ match }) => match !== null)
    .map(({ match, line }) => ({ name: match[2], isSystem: match[1] === '<', line }));
}

/** What is wrong with this include, if anything. */
function faultOf(from, { name, isSystem }) {
  if (NODE_HEADER.test(name) && from.layer !== 'addon') return `only native/addon may include ${name}`;
  const isNeighbour = !name.includes('/');
  if (isSystem || isNeighbour) return undefined;
  const allowed = from.isTest ? BESIDE : LAYERS[from.layer];
  if (allowed === undefined) return `native/${from.layer} is no layer that scripts/deps/arrows.mjs knows`;
  const to = placeOf(`native/${name}`);
  if (to.unit === from.unit || to.unit === from.layer) return undefined;
  const isSibling = to.layer === from.layer && !from.isTest;
  if (allowed.includes(to.layer) && !isSibling) return undefined;
  const others = allowed.filter((layer) => layer !== from.layer).join(', ');
  return `native/${from.unit} may not include ${name} (only its own files and ${others})`;
}

/** native/core/lease.h and native/core/lease.cc are one thing. */
const stem = (path) => path.replace(/\.(h|cc|inc)$/, '');

export function nativeFaults(root) {
  const files = filesIn(['native'], /\.(h|cc)$/, root);
  const known = new Set(files);
  const faults = [];
  const edges = new Map();
  for (const path of files) {
    const from = placeOf(path);
    const uses = edges.get(stem(path)) ?? new Set();
    edges.set(stem(path), uses);
    for (const include of includesOf(root, path)) {
      const fault = faultOf(from, include);
      if (fault !== undefined) faults.push(`${path}:${include.line}: ${fault}`);
      const target = [join('native', include.name), join(dirname(path), include.name)].find((file) => known.has(file));
      if (target !== undefined && stem(target) !== stem(path)) uses.add(stem(target));
    }
  }
  for (const circle of circles(edges)) faults.push(`${circle[0]}: includes itself: ${circle.join(' → ')}`);
  return faults;
}
