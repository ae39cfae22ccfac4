// The blocks of the documents that want an interface: eth0 is the lab's, and frames of all kinds come in on it.
import { readFileSync } from 'node:fs';
import { openTransmitter } from 'ringtap';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocks, FRAMES, isRun, needsLab, runBlock, verdict, workshop } from '../support/documents.js';
import { temporaryFolder } from '../support/folder.js';
import { lab, labMissing } from '../support/lab.js';

/** In a user namespace that knows root alone nobody can become somebody else. */
const isAlone = /^ *0 +\d+ +1$/m.test(readFileSync('/proc/self/uid_map', 'utf8'));
const live = blocks
  .filter((block) => isRun(block) && needsLab(block) && !(isAlone && block.code.includes('--reuid')))
  .map((block) => [block.name, block] as const);

describe.skipIf(lab === null)(`the documents on an interface${labMissing ? ` (skipped: ${labMissing})` : ''}`, () => {
  const path = temporaryFolder();
  let stop = async () => {};

  beforeAll(async () => {
    workshop(path('.'));
    const transmitter = await openTransmitter(`afxdp:${lab!.tx}`);
    const timer = setInterval(() => {
      for (const frame of FRAMES) transmitter.send(frame);
      transmitter.flush().catch(() => {});
    }, 20);
    stop = async () => {
      clearInterval(timer);
      await transmitter.close();
    };
  });
  afterAll(() => stop());

  test.each(live)('%s does what it is there for, and complains of nothing', async (_, block) => {
    const outcome = await runBlock(block, path('.'));
    expect({ ...verdict(outcome, block), stderr: outcome.stderr }).toMatchObject({
      succeeded: true,
      silent: false,
      complaints: [],
    });
  });
});
