// Every option of every scheme and every public function, given what nobody should give them. What is planted, and how
// it is judged, stands in test/support/hostile.mjs; options, functions and methods are found, not listed.
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root, script } from '../support/child.js';
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

test('pcap: opens interfaces and devices of the kernel, and never what libpcap would start a program for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-dbus-'));
  const started = join(folder, 'started');
  writeFileSync(join(folder, 'dbus-launch'), `#!/bin/sh\n: > ${started}\n`, { mode: 0o755 });
  const body = `
    import { explain, open, openTransmitter } from 'ringtap';
    for (const target of ['dbus-session', 'dbus-system', 'dbus-session%20'])
      for (const call of [open, openTransmitter, explain]) {
        const { code, error } = await call('pcap:' + target).catch((error) => error);
        console.log(code ?? error.code);
      }`;
  const address = `unixexec:path=${join(folder, 'dbus-launch')}`;
  try {
    for (const env of [{}, { DBUS_SESSION_BUS_ADDRESS: address, DBUS_SYSTEM_BUS_ADDRESS: address }]) {
      const path = `${folder}:${process.env.PATH}`;
      const { stdout } = await script(body, { env: { ...env, DISPLAY: ':9', PATH: path } });
      expect(stdout).toBe('RINGTAP_NO_INTERFACE\n'.repeat(9));
    }
    expect(existsSync(started)).toBe(false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
