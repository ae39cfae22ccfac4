// What `ringtap extcap` installs, and what it answers without any traffic. With tshark: test/live/extcap.test.ts.
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BACKENDS } from '../../dist/generated/schema.js';
import { lines, ringtap, start } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();

async function installed(): Promise<(...args: string[]) => Promise<string[]>> {
  expect((await ringtap('extcap', '--install', '--folder', path('here'))).code).toBe(0);
  return async (...args) => {
    const { code, stdout, stderr } = await start(path('here/ringtap'), args).outcome;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return lines(stdout);
  };
}

test('installs one program, renews it, and removes it', async () => {
  await installed();
  await installed();
  expect(readdirSync(path('here'))).toEqual(['ringtap']);
  expect(statSync(path('here/ringtap')).mode & 0o777).toBe(0o755);
  expect((await ringtap('extcap', '--print')).stdout).toBe(readFileSync(path('here/ringtap'), 'utf8'));
  expect((await ringtap('extcap', '--uninstall', '--folder', path('here'))).stderr).toMatch(/removed .*here\/ringtap/);
  expect(existsSync(path('here/ringtap'))).toBe(false);
  expect((await ringtap('extcap', '--uninstall', '--folder', path('here'))).code).toBe(0);
});

test('a program of somebody else is neither overwritten nor removed', async () => {
  writeFileSync(path('ringtap'), '#!/bin/sh\n');
  for (const what of ['--install', '--uninstall']) {
    const { code, stderr } = await ringtap('extcap', what, '--folder', path('.'));
    expect(code).toBe(2);
    expect(stderr).toMatch(/not ringtap’s\nhint: /);
  }
  expect(readFileSync(path('ringtap'), 'utf8')).toBe('#!/bin/sh\n');
});

test('every method that finds something here has a form with its options', async () => {
  const call = await installed();
  const listed = await call('--extcap-interfaces', '--extcap-version=4.0');
  const names = listed.flatMap((one) => /^interface \{value=(ringtap-[^}]+)\}/.exec(one)?.[1] ?? []);
  const schemes = new Set(names.map((name) => name.split('-')[1]!));
  for (const scheme of schemes) {
    const form = await call('--extcap-config', '--extcap-interface', `ringtap-${scheme}-x`);
    const options = BACKENDS.find(({ name }) => name === scheme)!.options;
    const fields = form.filter((one) => one.startsWith('arg '));
    const texts = options.filter(({ type, from }) => !['filter', 'signal', 'auth'].includes(type) && from !== 'object');
    expect(fields).toHaveLength(texts.length);
    for (const one of form) expect(one).toMatch(/^(arg|value) (\{[a-z]+=[^{}]*\})+$/);
  }
});

test('an interface that is gone has a form all the same, and an unknown one has none', async () => {
  const call = await installed();
  expect(await call('--extcap-config', '--extcap-interface', 'ringtap')).toHaveLength(2);
  expect(await call('--extcap-config', '--extcap-interface', 'someone-else')).toEqual([]);
  expect(await call('--extcap-dlts', '--extcap-interface', 'ringtap-afpacket-gone0')).toEqual([
    'dlt {number=1}{name=Ethernet}{display=Ethernet}',
  ]);
});

test('a filter that is one is answered by nothing, another by why not', async () => {
  const check = (filter: string) =>
    ringtap('extcap', '--extcap-capture-filter', filter, '--extcap-interface', 'ringtap');
  expect(await check('udp port 53')).toMatchObject({ code: 0, stdout: '', stderr: '' });
  const { code, stderr } = await check('udp prt 53');
  expect(code).toBe(2);
  expect(stderr).toMatch(/^ringtap: filter: can't parse/);
});

test('once Node or ringtap has moved, Wireshark lists nothing, and a capture says what to do', async () => {
  await installed();
  const script = readFileSync(path('here/ringtap'), 'utf8').replace(/^ringtap=.*/m, "ringtap='/nowhere/main.js'");
  writeFileSync(path('here/ringtap'), script);
  expect(await start(path('here/ringtap'), ['--extcap-interfaces']).outcome).toMatchObject({ code: 0, stdout: '' });
  const { code, stderr } = await start(path('here/ringtap'), ['--capture', '--extcap-interface', 'ringtap']).outcome;
  expect(code).toBe(1);
  expect(stderr).toMatch(/not there any more: ringtap extcap --install/);
});

test.each([
  [[], /give one of --install/],
  [['--install', '--print'], /give one of --install/],
  [['--instal'], /--instal means nothing here/],
  [['--capture', '--extcap-interface', 'eth0', '--fifo', '/nowhere/fifo'], /"eth0" is none of ringtap’s/],
  [['--capture', '--extcap-interface', 'ringtap'], /--fifo is missing/],
])('%j is wrong usage, and is told so', async (args, why) => {
  const { code, stderr } = await ringtap('extcap', ...args);
  expect(code).toBe(2);
  expect(stderr).toMatch(why);
  expect(stderr).toMatch(/^hint: /m);
});
