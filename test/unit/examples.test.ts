// The examples run as they are, without rights and without an interface.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../support/child.js';
import { start } from '../support/cli.js';

const SAYS: Readonly<Record<string, RegExp>> = {
  'count.mjs': /^100000 packets, \d{8} bytes/,
  'hold.mjs': /^the last [1-9]\d* packets are still here$/m,
  'record.mjs': /^50000 of 50000 packets written, 0 lost$/m,
  'services.mjs': /^((tcp|udp)\/\d+ +\d+\n){10}$/,
  'talkers.mjs': /^(\d+\.\d+\.\d+\.\d+ +\d+\n){10}$/,
};

test('each example has its line here', () => {
  const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.mjs'));
  expect(examples.sort()).toEqual(Object.keys(SAYS).sort());
});

test.each(Object.entries(SAYS))('%s does what it says', async (name, says) => {
  const { code, stdout, stderr } = await start(process.execPath, [join(root, 'examples', name)]).outcome;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(says);
});
