// A fault planted in a tree of its own is found by scripts/check-deps.mjs, and what is allowed is not.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { faultsIn } from '../../scripts/check-deps.mjs';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();
let trees = 0;
let root = '';

/** What is found in a tree of these files. */
function faults(files: Record<string, string>): string[] {
  root = path(`tree${trees++}`);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  return faultsIn(root);
}

afterEach(() => rmSync(root, { recursive: true, force: true }));

const manifest = (name: string, more: object = {}) => JSON.stringify({ name, version: '0.1.0', ...more });

describe('native layers', () => {
  test.each([
    ['native/core/a.h', '#include "linux/b.h"', 'native/core may not include linux/b.h'],
    ['native/decode/a.cc', '#include "filter/vm.h"', 'native/decode may not include filter/vm.h'],
    ['native/io/a.cc', '#include "backends/file/file.h"', 'native/io may not include backends/file/file.h'],
    ['native/flow/a.h', '#include "core/source.h"\n#include "stages/a.h"', 'native/flow may not include stages/a.h'],
    ['native/protocol/dns/a.h', '#include "protocol/tls/b.h"', 'native/protocol/dns may not include protocol/tls/b.h'],
    ['native/stages/a.h', '#include "backends/afpacket/afpacket.h"', 'native/stages may not include backends/'],
    ['native/forward/a.h', '#include "flow/table.h"', 'native/forward may not include flow/table.h'],
    ['native/backends/a/a.h', '#include "backends/b/b.h"', 'native/backends/a may not include backends/b/b.h'],
    ['native/backends/a/a.h', '#include "addon/session.h"', 'native/backends/a may not include addon/session.h'],
    ['native/backends/a/a.h', '#include <napi.h>', 'only native/addon may include napi.h'],
    ['native/format/a_test.cc', '#include "addon/session.h"', 'native/format may not include addon/session.h'],
    ['native/attic/a.h', '#include "core/source.h"', 'native/attic is no layer'],
  ])('%s: %s', (file, text, rule) => {
    const found = faults({ [file]: text });
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`${file}:${text.split('\n').length}: ${rule}`);
  });

  test('takes every arrow that is drawn', () => {
    expect(
      faults({
        'native/linux/a.h': '#include "core/error.h"',
        'native/libpcap/a.h': '#include "core/error.h"\n#include "filter/vm.h"',
        'native/flow/a.h': '#include "decode/a.h"',
        'native/protocol/dns/a.h': '#include "flow/a.h"\n#include "protocol/event.h"\n#include "protocol/dns/b.h"',
        'native/stages/a.h': '#include "core/source.h"\n#include "decode/a.h"\n#include "filter/vm.h"',
        'native/backends/a/a.h': '#include "linux/a.h"\n#include "io/a.h"\n#include "stages/a.h"\n#include "b.h"',
        'native/backends/a/a_test.cc': '#include "backends/b/b.h"\n#include "test/traces.h"',
        'native/addon/a.cc': '#include <napi.h>\n#include "backends/a/a.h"\n#include "flow/a.h"',
      }),
    ).toEqual([]);
  });

  test('finds headers that include each other, and a header and a source that do', () => {
    expect(
      faults({
        'native/core/a.h': '#include "core/b.h"',
        'native/core/b.h': '#include "c.h"',
        'native/core/c.h': '#include "core/a.h"',
      }),
    ).toEqual(['native/core/a: includes itself: native/core/a → native/core/b → native/core/c → native/core/a']);
    expect(
      faults({
        'native/core/a.h': '',
        'native/core/a.cc': '#include "core/a.h"\n#include "core/b.h"',
        'native/core/b.h': '#include "core/a.h"',
      }),
    ).toEqual(['native/core/a: includes itself: native/core/a → native/core/b → native/core/a']);
  });
});

describe('rooms of lib', () => {
  test.each([
    ['lib/errors/a.ts', "import { a } from '../native/b.js';", 'lib/errors may not import ../native/b.js'],
    ['lib/uri/a.ts', "export { a } from '../plan/b.js';", 'lib/uri may not import ../plan/b.js'],
    ['lib/capture/a.ts', "const a = await import('../write/b.js');", 'lib/capture may not import ../write/b.js'],
    ['lib/write/a.ts', "import '../transmit/b.js';", 'lib/write may not import ../transmit/b.js'],
    [
      'lib/decode/a.ts',
      "import { type A } from '../capture/b.js';",
      'lib/decode may import types only from lib/capture',
    ],
    ['lib/flow/a.ts', "import type { A } from '../write/b.js';", 'lib/flow may not import ../write/b.js'],
    ['lib/index.ts', "export * from './cli/run.js';", 'lib/index may not import ./cli/run.js'],
    ['lib/cli/a.ts', "import { a } from '../plan/b.js';", 'lib/cli may not import ../plan/b.js'],
    ['lib/cli/a.ts', "import { a } from '../decode/b.js';", 'lib/cli may import only what is public of lib/decode'],
    ['lib/plan/a.ts', "import { a } from '../../bench/b.js';", 'lib may not import ../../bench/b.js'],
    ['lib/plan/a.ts', "import load from 'node-gyp-build';", 'only lib/native loads the addon'],
    ['lib/attic/a.ts', "import { a } from '../errors/b.js';", 'lib/attic is no room'],
  ])('%s: %s', (file, text, rule) => {
    const found = faults({ [file]: text });
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`${file}:1: ${rule}`);
  });

  test('takes every arrow that is drawn, and what stands in comments and strings', () => {
    expect(
      faults({
        'lib/native/a.ts': "import type { A } from '../capture/b.js';",
        'lib/plan/a.ts': "import { a } from '../uri/b.js';\nimport manifest from '../../package.json';",
        'lib/capture/a.ts': "// import { a } from '../write/b.js'\nconst text = `import '../cli/run.js'`;",
        'lib/write/a.ts': "import { a } from '../capture/b.js';",
        'lib/decode/a.ts': "import type { A } from '../capture/b.js';\nimport { a } from '../native/b.js';",
        'lib/cli/a.ts': "import { open } from '../index.js';\nimport { decode } from '../decode/index.js';",
      }),
    ).toEqual([]);
  });

  test('finds files that import each other, but not for their types', () => {
    const circle = (kind: string) =>
      faults({ 'lib/plan/a.ts': "import { b } from './b.js';", 'lib/plan/b.ts': `${kind} { a } from './a.js';` });
    expect(circle('import')).toEqual(['lib/plan/a.ts: imports itself: lib/plan/a.ts → lib/plan/b.ts → lib/plan/a.ts']);
    expect(circle('import type')).toEqual([]);
  });
});

describe('users of the package', () => {
  test.each([
    ['examples/a.ts', "import { open } from '../lib/index.js';", 'examples may import ringtap by its name only'],
    ['bench/a.mjs', "import { open } from 'ringtap/dist/open.js';", 'ringtap/dist/open.js is not public'],
  ])('%s: %s', (file, text, rule) => {
    const root = { 'package.json': manifest('ringtap', { exports: { '.': {}, './decode': {} } }) };
    expect(faults({ ...root, [file]: text })).toEqual([expect.stringContaining(`${file}:1: ${rule}`)]);
    expect(faults({ ...root, [file]: "import { decode } from 'ringtap/decode';" })).toEqual([]);
  });
});

describe('packages', () => {
  const agent = (more: object = {}) => manifest('@ringtap/agent', more);
  const core = (...folders: string[]) => manifest('ringtap', { workspaces: ['.', 'packages/wire', ...folders] });
  const workspace = (file: string, text: string, packageJson: string) => ({
    'package.json': core(file.replace(/(packages\/\w+).*/, '$1')),
    'packages/wire/package.json': manifest('@ringtap/wire'),
    [file]: text,
    [file.replace(/(packages\/\w+).*/, '$1/package.json')]: packageJson,
  });

  test.each([
    [
      'packages/collector/src/a.ts',
      "import { open } from 'ringtap';",
      manifest('@ringtap/collector', { devDependencies: { ringtap: '0.1.0' } }),
      '@ringtap/collector may not import ringtap',
    ],
    [
      'packages/web/src/a.ts',
      "import { create } from '@ringtap/wire';",
      manifest('@ringtap/web', { devDependencies: { '@ringtap/wire': '0.1.0' } }),
      '@ringtap/web may not import @ringtap/wire, but its types',
    ],
    [
      'packages/agent/src/a.ts',
      "import pino from 'pino';",
      agent(),
      'pino is not in the dependencies of packages/agent',
    ],
    [
      'packages/agent/src/a.ts',
      "import pino from 'pino';",
      agent({ devDependencies: { pino: '9.0.0' } }),
      'pino is not in the dependencies of packages/agent',
    ],
    [
      'packages/agent/src/a.ts',
      "import '../../wire/src/b.js';",
      agent(),
      '../../wire/src/b.js is outside of @ringtap/agent',
    ],
    [
      'packages/agent/test/a.test.ts',
      "import { test } from 'vitest';",
      agent(),
      'vitest is not in packages/agent/package.json',
    ],
  ])('%s: %s', (file, text, packageJson, rule) => {
    const found = faults(workspace(file, text, packageJson));
    expect(found).toEqual([expect.stringContaining(`${file}:1: ${rule}`)]);
  });

  test('finds what the core would import of them, or depend on', () => {
    const workspaces = ['packages/wire', '.'];
    expect(
      faults({
        'package.json': manifest('ringtap', { workspaces, dependencies: { '@ringtap/wire': '0.1.0' } }),
        'packages/wire/package.json': manifest('@ringtap/wire'),
        'lib/plan/a.ts': "import { create } from '@ringtap/wire';",
      }),
    ).toEqual([
      'lib/plan/a.ts:1: ringtap may not import @ringtap/wire',
      'package.json: ringtap may not depend on @ringtap/wire',
    ]);
  });

  test.each([
    [
      'a version out of step',
      manifest('@ringtap/agent').replace('0.1.0', '0.2.0'),
      'version 0.2.0, but ringtap is 0.1.0',
    ],
    [
      'a range that is not the version here',
      agent({ dependencies: { ringtap: '^0.0.9' } }),
      'ringtap is 0.1.0 here, not ^0.0.9',
    ],
    ['a package that nobody drew', manifest('@ringtap/attic'), '@ringtap/attic is no package'],
  ])('finds %s', (_, packageJson, rule) => {
    const found = faults(workspace('packages/agent/src/a.ts', '', packageJson));
    expect(found).toEqual([expect.stringContaining(`packages/agent/package.json: ${rule}`)]);
  });

  test('finds two versions of one dependency', () => {
    const found = faults({
      'package.json': manifest('ringtap', {
        workspaces: ['.', 'packages/agent'],
        devDependencies: { vitest: '4.1.12' },
      }),
      'packages/agent/package.json': agent({ devDependencies: { vitest: '4.0.0' } }),
    });
    expect(found).toEqual(['packages/agent/package.json: vitest 4.0.0, but 4.1.12 in package.json']);
  });

  test('finds a package that is no workspace, and one that stands before what it needs', () => {
    const files = workspace('packages/agent/src/a.ts', '', agent({ dependencies: { '@ringtap/wire': '0.1.0' } }));
    expect(faults({ ...files, 'package.json': core() })).toEqual([
      'package.json: packages/agent is not in its workspaces',
    ]);
    const workspaces = ['.', 'packages/agent', 'packages/wire'];
    expect(faults({ ...files, 'package.json': manifest('ringtap', { workspaces }) })).toEqual([
      'package.json: @ringtap/agent stands before @ringtap/wire, which it needs, in the workspaces',
    ]);
  });

  test('takes every arrow that is drawn', () => {
    const needs = { ringtap: '0.1.0', '@ringtap/wire': '0.1.0' };
    expect(
      faults({
        ...workspace(
          'packages/agent/src/a.ts',
          "import 'node:fs';\nimport { open } from 'ringtap';\nimport { create } from '@ringtap/wire';",
          agent({ dependencies: needs }),
        ),
        'package.json': core('packages/agent', 'packages/web'),
        'packages/web/package.json': manifest('@ringtap/web', { devDependencies: { '@ringtap/wire': '0.1.0' } }),
        'packages/web/src/a.ts': "import type { Hello } from '@ringtap/wire';",
      }),
    ).toEqual([]);
  });
});
