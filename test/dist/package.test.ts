// The package as npm packs it, in a user's project: installed with what it depends on, and nothing of the clone.
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as ringtap from 'ringtap';
import { beforeAll, describe, expect, test } from 'vitest';
import { root } from '../support/child.js';
import { type Outcome, start } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { install, pack } from '../support/packed.js';

const path = temporaryFolder();
const installed = (name: string) => path(join('node_modules/ringtap', name));
const json = (file: string) => JSON.parse(readFileSync(file, 'utf8'));
const project = (name: string, text: string) => writeFileSync(path(name), text);
/** Runs a program in the project. */
const inProject = (...argv: string[]): Promise<Outcome> =>
  start('sh', ['-c', 'cd "$1" && shift && exec "$@"', 'sh', path('.'), ...argv]).outcome;

beforeAll(async () => {
  await install(path('.'), await pack(path('.')), '@types/node', 'undici-types');
});

describe('the packed package', () => {
  const READ = `let packets = 0;
    for await (const { length } of await open('synth:?count=1000')) packets += length;
    console.log(packets, Object.keys(all).sort().join());`;
  const names = Object.keys(ringtap).sort().join();

  test('is imported, and captures', async () => {
    project('import.mjs', `import * as all from 'ringtap'; const { open } = all; ${READ}`);
    const { stdout, stderr } = await inProject(process.execPath, 'import.mjs');
    expect({ stdout, stderr }).toEqual({ stdout: `1000 ${names}\n`, stderr: '' });
  });

  test('is required, and captures', async () => {
    project('require.cjs', `const all = require('ringtap'); const { open } = all; (async () => { ${READ} })();`);
    const { stdout, stderr } = await inProject(process.execPath, 'require.cjs');
    expect({ stdout, stderr }).toEqual({ stdout: `1000 ${names}\n`, stderr: '' });
  });

  test('has a command that works', async () => {
    const bin = installed(json(installed('package.json')).bin.ringtap);
    copyFileSync(join(root, 'examples/sample.pcap'), path('sample.pcap'));
    for (const [args, shown] of [
      [['--version'], json(join(root, 'package.json')).version],
      [['list'], 'synth:'],
      [['doctor'], 'afpacket'],
      [['explain', 'synth:'], 'synth'],
      [['read', 'sample.pcap'], ' IP '],
    ] as const) {
      const { stdout } = await inProject(process.execPath, bin, ...args);
      expect(stdout, args.join(' ')).toContain(shown);
    }
  });

  test('has types that a strict project resolves, as a module and as CommonJS', async () => {
    const source = `import { type Batch, type Capture, CaptureError, open } from 'ringtap';
      export async function count(uri: string): Promise<number> {
        const capture: Capture = await open(uri, { filter: 'udp' });
        let packets = 0;
        for await (const batch of capture) packets += (batch satisfies Batch).length;
        // @ts-expect-error: there is no such option
        await open(uri, { filtre: 'udp' }).catch((error: unknown) => error instanceof CaptureError && error.code);
        return packets;
      }`;
    project('esm.mts', source);
    project('common.cts', source);
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { code, stdout } = await inProject(process.execPath, tsc, ...options, 'esm.mts', 'common.cts');
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  });

  test('works beside the other packages of the repository, which are installed with it', async () => {
    project(
      'wire.mjs',
      `import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
      import { gaps, HelloSchema, LossReportSchema } from '@ringtap/wire';
      import { open } from 'ringtap';
      const capture = await open('synth:?count=7');
      for await (const _ of capture);
      const { received, delivered } = capture.stats();
      const packets = { received: BigInt(received), metered: BigInt(delivered) };
      const report = fromBinary(LossReportSchema, toBinary(LossReportSchema, create(LossReportSchema, { packets })));
      console.log(report.packets.metered, gaps(report).packets, create(HelloSchema).$typeName);`,
    );
    const { stdout, stderr } = await inProject(process.execPath, 'wire.mjs');
    expect({ stdout, stderr }).toEqual({ stdout: '7n 0n ringtap.v1.Hello\n', stderr: '' });
  });

  test('has every source that its build needs', async () => {
    const { code, stderr } = await inProject(
      'cmake',
      '-S',
      installed('.'),
      '-B',
      path('build'),
      '-DCMAKE_JS_INC=/nowhere',
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const name of readdirSync(installed('native'), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(cc|h)$/.test(name)) continue;
      const file = installed(join('native', name));
      for (const [, header] of readFileSync(file, 'utf8').matchAll(/^#include "([^"]+)"/gm)) {
        const found = [installed('native'), dirname(file)].some((folder) => existsSync(join(folder, header!)));
        expect(found, `${header} of ${name}`).toBe(true);
      }
    }
  });
});
