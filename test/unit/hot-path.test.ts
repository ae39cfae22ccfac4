// Signals of the hot path's cost that do not depend on how busy the machine is: instructions, inline caches, bail-outs.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root, script } from '../support/child.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringtap-hot-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Reads several backends with one loop, in phases; every way of getting a batch is used. */
const LOOP = `
import { open } from 'ringtap';
function look({ length, offset, caplen, view }) {
  let bytes = 0;
  for (let i = 0; i < length; i++) {
    if (view.getUint16(offset[i] + 12) === 0x0800) bytes += caplen[i];
  }
  return bytes;
}
async function read(uri, count) {
  const capture = await open(uri);
  let bytes = 0;
  let packets = 0;
  for await (const batch of capture) {
    bytes += look(batch);
    packets += batch.length;
    if (packets >= count) break;
  }
  while (packets > 0) {
    const batch = capture.tryNext();
    if (batch === null) break;
    bytes += look(batch);
    packets -= batch.length;
  }
  await capture.close();
  return bytes;
}
for (let phase = 0; phase < 6; phase++) {
  for (const uri of ['synth:', 'synth:?sizes=imix', 'synth:?batchSize=64', 'examples/sample.pcap']) await read(uri, 500000);
  console.log('PHASE');
}`;

test('V8 keeps the optimised batch loop: once warm, nothing is deoptimised', async () => {
  let deopts: string[][] = [];
  // A function may be optimised late on a starved machine, and learn of one more case after that: again, then.
  for (let attempt = 0; attempt < 3; attempt++) {
    const { code, stdout } = await script(LOOP, { flags: ['--trace-deopt'] });
    expect(code).toBe(0);
    const phases = stdout.split('PHASE\n').slice(0, 6);
    expect(phases).toHaveLength(6);
    deopts = phases.map((text) => text.split('\n').filter((line) => line.startsWith('[bailout')));
    if (deopts.slice(-2).flat().length === 0) break;
  }
  expect(deopts.slice(-2).flat()).toEqual([]);
  expect(deopts.flat().join('\n')).toMatch(/JSFunction/); // it would be seen
}, 460_000);

/** Inline caches of a module that became megamorphic. The module's lines are numbered from FAR on. */
const FAR = 50_000;
async function megamorphic(source: string): Promise<{ all: number; megamorphic: string[] }> {
  const log = join(folder, 'ic.log');
  const flags = ['--log-ic', `--logfile=${log}`, '--no-logfile-per-isolate'];
  const { code, stderr } = await script('\n'.repeat(FAR) + source, { flags });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const caches = readFileSync(log, 'utf8')
    .split('\n')
    .map((line) => line.split(','))
    .filter(([kind, , , line]) => kind?.endsWith('IC') && Number(line) > FAR);
  const isMegamorphic = ([, , , , , , state]: string[]) => state === 'N';
  return { all: caches.length, megamorphic: caches.filter(isMegamorphic).map((cache) => `${cache[0]} ${cache[8]}`) };
}

test('no access in the batch loop is megamorphic, whatever the backend', async () => {
  const { all, megamorphic: found } = await megamorphic(LOOP);
  expect(found).toEqual([]);
  expect(all).toBeGreaterThan(5);
});

test('a megamorphic access would be seen', async () => {
  const source = `
const look = (batch) => batch.length;
const batches = ['a', 'b', 'c', 'd', 'e', 'f'].map((shape) => ({ [shape]: 0, length: 1 }));
for (let i = 0; i < 10000; i++) look(batches[i % 6]);`;
  expect((await megamorphic(source)).megamorphic).toContain('LoadIC length');
});

/** Of a C++ loop over synth: descriptors, with receive() and release(): measured 82. */
const MOST_INSTRUCTIONS = 90;

test('receiving, reading and releasing takes no more instructions a packet than it did', () => {
  const count = (packets: number) => {
    const { status, stdout, stderr } = spawnSync(
      'valgrind',
      ['--tool=callgrind', '--callgrind-out-file=/dev/null', join(root, 'build/addon/bin/peer-descloop'), '256'],
      { input: `${packets}\n`, encoding: 'utf8' },
    );
    expect({ status, stderr }).toMatchObject({ status: 0 });
    return {
      instructions: Number(/Collected : (\d+)/.exec(stderr)![1]),
      packets: (JSON.parse(stdout) as { packets: number }).packets,
    };
  };
  const [few, many] = [count(100_000), count(300_000)]; // the difference is free of what starting costs
  const each = (many.instructions - few.instructions) / (many.packets - few.packets);
  expect(each).toBeLessThan(MOST_INSTRUCTIONS);
  expect(each).toBeGreaterThan(MOST_INSTRUCTIONS / 3); // something was measured
});
