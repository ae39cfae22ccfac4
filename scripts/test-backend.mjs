// `npm run test:backend NAME`: builds, then only the tests of one backend, native and through the public API, inside a lab.
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { filesIn, root } from './files.mjs';
import { setup } from './setup.mjs';
import { ctest, runSuite, vitest } from './suite.mjs';

const folder = join(root, 'native/backends');
const known = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'backend.json')));
const USAGE = `usage: npm run test:backend NAME [-- VITEST ARGUMENTS]

Builds, then runs in a lab, as far as this host has one:
  ctest   the tests called NAME, NAME_… and conformance_NAME
  vitest  test/*/NAME*.test.ts, test/NAME/, and the conformance suite for what native/backends/NAME/conformance.json lists

NAME is one of: ${known.join(' ')}`;

const [name, ...vitestArguments] = process.argv.slice(2);
if (name === '--help' || name === '-h') {
  console.log(USAGE);
  process.exit(0);
}
if (!known.includes(name)) {
  console.error(name === undefined ? USAGE : `no backend ${name}: there are ${known.join(', ')}`);
  process.exit(2);
}

const conforms = existsSync(join(folder, name, 'conformance.json'));
const files = filesIn(['test'], /\.test\.ts$/).filter(
  (path) =>
    basename(path).startsWith(name) ||
    path.startsWith(`test/${name}/`) ||
    (conforms && path.startsWith('test/conformance/')),
);

setup({ for: 'test' });
process.env.RINGTAP_BACKEND = name;
await runSuite({
  'native tests': ctest('-R', `(^|_)${name}(_|$)`),
  // Without a single file vitest would run everything.
  ...(files.length > 0 ? { vitest: vitest(...files, ...vitestArguments) } : {}),
});
