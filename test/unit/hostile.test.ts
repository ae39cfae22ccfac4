// Every option of every scheme and every public function, given what nobody should give them. What is planted, and how
// it is judged, stands in test/support/hostile.mjs; options, functions and methods are found, not listed.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root } from '../support/child.js';
import { plant } from '../support/hostile.js';

/** Of what has no device here, and needs no right. */
const targets: Readonly<Record<string, readonly string[]>> = {
  file: ['nosuch.pcap'],
  synth: ['?count=1'],
  dpdk: ['net_null0', '{"mbufs":1024,"hugePages":"off"}'],
};
const schemes = readdirSync(join(root, 'native/backends'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

describe('hostile values', () => {
  test.each(schemes)('in the options and the target of %s: are refused, and leave nothing behind', async (scheme) => {
    const { trials, faults } = await plant('options', scheme, ...(targets[scheme] ?? ['nosuch0']));
    expect(faults).toEqual([]);
    expect(trials).toBeGreaterThan(500);
  });

  test('in Object.prototype, under every name that means something, change nothing', async () => {
    const { trials, faults } = await plant('prototypes');
    expect(faults).toEqual([]);
    expect(trials).toBeGreaterThan(60);
  });

  test('in every argument of every function and method are refused, and leave nothing behind', async () => {
    const { trials, faults } = await plant('calls');
    expect(faults).toEqual([]);
    expect(trials).toBeGreaterThan(500);
  });
});
