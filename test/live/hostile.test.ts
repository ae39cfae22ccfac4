// Hostile values where every right is there and the interface is real, and interfaces with hostile names.
import { execFileSync } from 'node:child_process';
import { devices, open } from 'ringtap';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { ringtap } from '../support/cli.js';
import { expectTarget } from '../support/explain.js';
import { plant, plantIn } from '../support/hostile.js';
import { lab, labMissing } from '../support/lab.js';
import { pfring } from '../support/standin.js';

const rx = lab?.rx ?? 'rt1';
const tx = lab?.tx ?? 'rt0';
const names = ['x?y', 'e\x1b[31mX', 'c\x9b31m', 'b\u202ec', 'q@1', 'm,n', '#&=+;', '"\'`$(w)', 'constructor', 'é😀'];
const NOT_UTF8 = "$'u\\xffv'";

const link = (...args: string[]) => execFileSync('ip', ['link', ...args], { stdio: 'pipe' });

describe.skipIf(lab === null)(
  `an interface with a hostile name${labMissing ? ` (skipped: ${labMissing})` : ''}`,
  () => {
    beforeAll(() => {
      for (const [i, name] of names.entries()) {
        link('add', name, 'type', 'veth', 'peer', 'name', `peer${i}`);
        link('set', name, 'up');
      }
      execFileSync('bash', ['-c', `ip link add ${NOT_UTF8} type veth peer name peerU`]);
    });
    afterAll(() => {
      for (const i of names.keys()) link('del', `peer${i}`);
      link('del', 'peerU');
    });

    test('has URIs that open() takes as they stand', async () => {
      const found = await devices();
      for (const name of names) {
        const { uris } = found.find((device) => device.name === name)!;
        expect(uris.map((uri) => uri.slice(0, uri.indexOf(':')))).toEqual(
          expect.arrayContaining(['afpacket', 'afxdp', 'pcap']),
        );
        for (const uri of uris) await expectTarget(uri, name);
        await using capture = await open(uris[0]!);
        expect(capture.plan.target).toBe(name);
      }
    });

    test('that no string can say is listed without a URI', async () => {
      const { uris } = (await devices()).find(({ name }) => name === 'u\ufffdv')!;
      expect(uris).toEqual([]);
    });

    test('that PF_RING would take for a queue or a list has no URI for it', async () => {
      const { stdout } = await script(
        "import { devices } from 'ringtap'; console.log(JSON.stringify((await devices()).flatMap(({ uris }) => uris)));",
        { env: pfring },
      );
      const uris = (JSON.parse(stdout) as string[]).filter((uri) => uri.startsWith('pfring:'));
      expect(uris).toContain(`pfring:${rx}`);
      expect(uris.filter((uri) => /[@,]/.test(uri))).toEqual([]);
    });

    test('is shown to a terminal as it stands', async () => {
      const all = await devices();
      const list = await ringtap('list');
      const json = await ringtap('list', '--json');
      const listed = (JSON.parse(json.stdout) as { unusable: unknown }[]).map(({ unusable: _, ...device }) => device);
      expect(listed).toEqual(JSON.parse(JSON.stringify(all)));
      const runs = [list, json];
      for (const name of ['e\x1b[31mX', 'c\x9b31m', 'b\u202ec']) {
        const { uris } = all.find((device) => device.name === name)!;
        runs.push(
          await ringtap('explain', uris[0]!),
          await ringtap('explain', `afpacket:${name}`),
          await ringtap('stats', `afpacket:${name}`, '--duration', '50ms'),
          await ringtap('capture', `afpacket:${name}`, '--duration', '50ms', '-w', '/dev/null'),
          await ringtap('stats', `${name}y`),
        );
      }
      for (const { stdout, stderr } of runs) expect(stdout + stderr).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
      expect(list.stdout).toContain('e\\x1b[31mX');
      expect(list.stdout).toContain('afpacket:e%1B[31mX');
    });
  },
);

describe.skipIf(lab === null)(`hostile values${labMissing ? ` (skipped: ${labMissing})` : ''}`, () => {
  test.each([
    ['afpacket', rx],
    ['pcap', rx],
    ['afxdp', rx],
    ['pfring', rx],
  ])('in the options and the target of %s:%s are refused, and leave nothing behind', async (scheme, target) => {
    const { trials, faults } = await plantIn(scheme === 'pfring' ? pfring : {}, 'options', scheme, target);
    expect(faults).toEqual([]);
    expect(trials).toBeGreaterThan(500);
  });

  test('in every argument of every method of a transmitter are refused, and leave nothing behind', async () => {
    const { trials, faults } = await plant('calls', `afxdp:${tx}`);
    expect(faults).toEqual([]);
    expect(trials).toBeGreaterThan(500);
  });
});
