// What dpdk: says where its module or libraries are missing. Runs with and without libdpdk.
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root, type ScriptOptions, script } from '../support/child.js';

const BUILT = 'build/addon/Release';
const hasModule = existsSync(join(root, BUILT, 'ringtap_dpdk.so'));

describe('dpdk: without', () => {
  /** The package as it is built, but for the module. */
  let copy: string;
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'ringtap-without-'));
    mkdirSync(join(copy, BUILT), { recursive: true });
    for (const name of ['package.json', `${BUILT}/ringtap.node`]) copyFileSync(join(root, name), join(copy, name));
    cpSync(join(root, 'dist'), join(copy, 'dist'), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  });
  afterAll(() => rmSync(copy, { recursive: true }));

  /** What open() and probe() say in the package at `folder`. */
  async function answers(folder: string, options: ScriptOptions = {}) {
    const source = `
      const { open, probe } = await import(process.argv[1]);
      const error = await open('dpdk:net_null0').catch(({ code, message, hint }) => ({ code, message, hint }));
      const { available, reason } = (await probe()).find(({ backend }) => backend === 'dpdk');
      console.log(JSON.stringify({ error, available, reason }));`;
    const { stdout, stderr } = await script(source, { ...options, args: [join(folder, 'dist/index.js')] });
    expect(stderr).toBe('');
    return JSON.parse(stdout) as { error: { code: string; message: string; hint: string }; available: boolean };
  }

  function expectMissing({ error, available }: Awaited<ReturnType<typeof answers>>, words: RegExp): void {
    expect(error.code).toBe('RINGTAP_BACKEND_MISSING');
    expect(error.message).toMatch(words);
    expect(error.hint).toMatch(/^sudo apt-get install libdpdk-dev/);
    expect(available).toBe(false);
  }

  test('its module is RINGTAP_BACKEND_MISSING, with the apt line', async () => {
    expectMissing(await answers(copy), /this build has no DPDK module: .*ringtap_dpdk\.so does not exist/);
  });

  test('a module that is whole is RINGTAP_BACKEND_MISSING', async () => {
    writeFileSync(join(copy, BUILT, 'ringtap_dpdk.so'), 'not a library');
    expectMissing(await answers(copy), /cannot load the DPDK module: .*ringtap_dpdk\.so/);
  });

  test.each([
    ['a module at all, but another library in its place,', 'libpfring-standin-module.so'],
    ['a module of the same tree', 'libringtap_dpdk_stranger.so'],
  ])('%s is RINGTAP_BACKEND_MISSING', async (_, library) => {
    copyFileSync(join(root, 'build/addon/lib', library), join(copy, BUILT, 'ringtap_dpdk.so'));
    expectMissing(await answers(copy), /belongs to another version of ringtap/);
  });

  // Only where there is a module, and the right to hide a library from it.
  test.runIf(hasModule && process.getuid?.() === 0)("DPDK's libraries is RINGTAP_BACKEND_MISSING", async () => {
    const hide = 'for l in /usr/lib/*/librte_ethdev.so.*; do mount --bind /dev/null "$l"; done; exec "$@"';
    const hidden = await answers(root, { prefix: ['unshare', '--mount', 'sh', '-c', hide, 'sh'] });
    expectMissing(hidden, /cannot load the DPDK module: .*librte_ethdev/);
  });
});
