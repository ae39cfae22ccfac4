// What a benchmark trial does when one of its processes misbehaves.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
// @ts-expect-error: JavaScript
import { trial } from '../../bench/lib/trial.mjs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringtap-trial-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const sh = (name: string, text: string) => ['sh', '-c', `echo $$ > ${folder}/${name}; ${text}`];
const receiver = (text: string) => ({ name: 'a receiver', command: () => ({ argv: sh('receiver', text) }) });
const generator = (text: string) => ({ name: 'a generator', command: () => sh('generator', text) });
const run = (from: string, to: string) =>
  trial(receiver(to), { generator: generator(from), size: 64, rate: 0, count: 100, warmup: 0 }, { rx: 'a', tx: 'b' });

const SENT = 'echo \'{"sent":100,"bytes":6000,"seconds":1,"pps":100,"errors":0}\'';
const received = (missing: number) =>
  `echo '{"packets":${100 - missing},"user":10,"system":5,"wall":1000,"missing":${missing},"rssKiB":2048}'`;
const READY = 'echo READY >&2';

/** Every process of the trial is gone. */
async function gone() {
  for (const name of ['receiver', 'generator']) {
    const pid = readFileSync(join(folder, name), 'utf8').trim();
    for (let i = 0; existsSync(`/proc/${pid}`); i++) {
      if (i === 500) throw new Error(`the ${name} is still there`);
      await setTimeout(10);
    }
  }
}

describe.skipIf(process.platform !== 'linux')('a trial', () => {
  test('adds up what both say', async () => {
    const result = await run(`${READY}; read go; ${SENT}`, `${READY}; read sent; ${received(0)}`);
    expect(result).toMatchObject({
      lost: 0,
      delivered: 100,
      userNs: 100,
      systemNs: 50,
      rssMiB: 2,
      limitedBy: 'generator',
    });
    await gone();
  });

  test('that lost packets is limited by the receiver, and only what arrived was delivered', async () => {
    const result = await run(`${READY}; read go; ${SENT}`, `${READY}; read sent; ${received(25)}`);
    expect(result).toMatchObject({ lost: 25, delivered: 75, limitedBy: 'receiver' });
  });

  test.each([
    ['before it is ready', 'echo no such ring >&2; exit 3'],
    ['while it is waiting', `${READY}; echo no such ring >&2; exit 3`],
    ['after the last packet', `${READY}; read sent; echo no such ring >&2; exit 3`],
  ])('fails with the words of a receiver that crashes %s, and ends the generator', async (_, text) => {
    const forever = `${READY}; read go; ${SENT}; exec sleep 1000`;
    await expect(run(forever, text)).rejects.toThrow(/ended \(3\) without a result\nno such ring/);
    await gone();
  });

  test('fails when the receiver is killed', async () => {
    await expect(run(`${READY}; read go; exec sleep 1000`, `${READY}; kill -SEGV $$`)).rejects.toThrow(/SIGSEGV/);
    await gone();
  });

  test('fails with the words of a generator that crashes, and ends the receiver', async () => {
    await expect(run('echo no such interface >&2; exit 1', `${READY}; exec sleep 1000`)).rejects.toThrow(
      /no such interface/,
    );
    await gone();
  });

  test('fails when a result is no JSON', async () => {
    await expect(run(`${READY}; read go; ${SENT}`, `${READY}; read sent; echo done`)).rejects.toThrow(/done/);
    await gone();
  });
});
