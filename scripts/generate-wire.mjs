// Writes the TypeScript of packages/wire's messages. `--check` fails when a committed file is stale.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { filesIn, root } from './files.mjs';

const PROTO = 'packages/wire/proto';
const GENERATED = 'packages/wire/lib/generated';
const check = process.argv.includes('--check');

/** What protoc makes of every .proto: path below GENERATED → text. */
function generate(folder) {
  const { status, error, stderr } = spawnSync(
    'protoc',
    [
      `--plugin=protoc-gen-es=${join(root, 'node_modules/.bin/protoc-gen-es')}`,
      `--proto_path=${PROTO}`,
      `--es_out=${folder}`,
      '--es_opt=target=ts,import_extension=js',
      ...filesIn([PROTO], /\.proto$/),
    ],
    { cwd: root, encoding: 'utf8' },
  );
  if (status !== 0) {
    const hint = error?.code === 'ENOENT' ? ' (Debian: apt-get install protobuf-compiler)' : '';
    console.error(`protoc: ${error?.message ?? stderr.trimEnd()}${hint}`);
    process.exit(1);
  }
  return new Map(filesIn(['.'], /\.ts$/, folder).map((path) => [path, readFileSync(join(folder, path), 'utf8')]));
}

const folder = mkdtempSync(join(tmpdir(), 'ringtap-wire-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const outputs = generate(folder);
const stale = filesIn([GENERATED], /\.ts$/)
  .map((path) => path.slice(GENERATED.length + 1))
  .filter((path) => !outputs.has(path));
for (const path of stale) {
  console.error(`${GENERATED}/${path} comes from no .proto: ${check ? 'delete it' : 'deleted'}`);
  if (check) process.exitCode = 1;
  else rmSync(join(root, GENERATED, path));
}
for (const [path, text] of outputs) {
  const file = join(root, GENERATED, path);
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
  if (check) {
    console.error(`${GENERATED}/${path} is stale: run \`npm run generate\``);
    process.exitCode = 1;
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(`wrote ${GENERATED}/${path}`);
  }
}
