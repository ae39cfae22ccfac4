// The examples on an interface, which has no end: ended by Ctrl-C, they print what they saw.
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { start } from '../support/cli.js';
import { lab, labMissing, send } from '../support/lab.js';
import { asleep, capturing, sleep } from '../support/wait.js';

const PACKETS = 2_000;

describe.skipIf(lab === null)(`the examples on an interface${labMissing ? ` (skipped: ${labMissing})` : ''}`, () => {
  test.each([
    ['count.mjs', /^2\d{3} packets, \d+ bytes/m],
    ['talkers.mjs', /^\d+\.\d+\.\d+\.\d+ +\d{5,}$/m],
    ['services.mjs', /^udp\/9 +\d{4,}$/m],
  ])('%s prints its result at SIGINT', async (name, result) => {
    const example = fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));
    const run = start(process.execPath, [example, `afpacket:${lab!.rx}`]);
    await capturing(run.process.pid!);
    await send({ count: PACKETS, rate: 10_000 });
    await sleep(300); // the last block is due after 10 ms
    await asleep(run.process.pid!);
    run.process.kill('SIGINT');
    const { code, stdout, stderr } = await run.outcome;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(result);
  });
});
