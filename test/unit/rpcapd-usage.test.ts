// `ringtap rpcapd`, and asking a daemon: what the command line is told.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serve, userLine } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { readIni } from '../../dist/cli/rpcapd-ini.js';
import { certificates } from '../support/certificates.js';
import { root } from '../support/child.js';
import { ringtapHere, start, startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();
const SOURCES = { made: 'synth:?count=1000' };

test('the file of -f is what the document says', () => {
  const [, code] = /^```ini check\n([\s\S]*?)^```$/m.exec(readFileSync(join(root, 'docs/rpcapd.md'), 'utf8'))!;
  writeFileSync(path('rpcapd.ini'), code!);
  expect(readIni(path('rpcapd.ini'))).toEqual({
    active: [
      { host: 'collector.example', port: 2003, ifname: 'eth0' },
      { host: '192.0.2.9', ifaddr: '198.51.100.0/24' },
    ],
    allow: ['10.0.0.0/8', '192.0.2.7'],
    nullAuth: false,
    users: '/etc/ringtap/users',
  });
});

test.each([
  [['-b', '127.0.0.1'], 'nobody could get in', '--users FILE'],
  [['-n', '-v'], 'it neither listens nor connects', '-a HOST'],
  [['-n', '--zstd'], '--zstd is for datagrams', '-t, 1472'],
  [['-n', '--memory', '9999999999'], '--memory is a whole number from 1048576', '--help'],
  [['-n', '--source', 'lab=synth:?ratte=1'], '--source "lab": synth has no option "ratte"', 'rate'],
  [['-n', '-t', '5'], '-t is a whole number from 128', '--help'],
])('rpcapd %j is refused in words of the command line', async (args, what, hint) => {
  const { code, stderr } = await ringtapHere(['rpcapd', ...args]);
  expect(code).toBe(2);
  expect(stderr).toContain(`ringtap: ${what}`);
  expect(stderr).toContain(hint);
  expect(stderr).not.toMatch(/serve\(|nullAuth|datagramBytes|active:/);
});

const analyze = '/usr/bin/systemd-analyze';
test.skipIf(!existsSync(analyze))('the units of contrib are what systemd takes', async () => {
  const units = ['service', 'socket'].map((kind) => join(root, `contrib/systemd/ringtap-rpcapd.${kind}`));
  const { code, stdout, stderr } = await start(analyze, ['verify', '--man=no', ...units]).outcome;
  expect({ code, said: `${stdout}${stderr}`.split('\n').filter((line) => line.includes('ringtap')) }).toEqual({
    code: 0,
    said: [],
  });
});

describe('who asks a daemon', () => {
  test('lists through TLS, by options or the environment', async () => {
    const { cert, key, fingerprint } = certificates(path).selfSigned('listed');
    await using daemon = await serve({
      host: '127.0.0.1',
      port: 0,
      nullAuth: true,
      sources: SOURCES,
      tls: { cert, key },
    });
    const uri = `rpcaps://127.0.0.1:${daemon.port}`;
    const ca = path('ca.pem');
    writeFileSync(ca, cert);
    expect((await ringtapHere(['list', uri])).code).toBe(1);
    for (const [args, env] of [
      [['--tls-fingerprint', fingerprint], {}],
      [['--tls-insecure'], {}],
      [[], { RINGTAP_TLS_FINGERPRINT: fingerprint }],
    ] as const) {
      const { code, stdout } = await ringtapHere(['list', uri, ...args], env);
      expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('made') });
      // What this host could capture with is nothing of the daemon's.
      expect(stdout).not.toMatch(/also|trace\.pcapng|Not as things are/);
    }
  });

  test('is told what helps', async () => {
    const users = path('users');
    writeFileSync(users, `${await userLine('who', 'secret')}\n`, { mode: 0o600 });
    await using daemon = await serve({ host: '127.0.0.1', port: 0, users, sources: SOURCES });
    const uri = `rpcap://127.0.0.1:${daemon.port}`;
    const wrong = await ringtapHere(['capture', `${uri}/made`], { RINGTAP_AUTH: 'who:else' });
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('Check user and password') });
    const none = await ringtapHere(['capture', `${uri}/made`]);
    expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining('--auth-file FILE') });
    const env = { RINGTAP_AUTH: 'who:secret' };
    const other = await ringtapHere(['capture', `${uri}/none`], env);
    expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining(`hint: ringtap list ${uri} shows`) });
    const right = await startRingtap(['capture', `${uri}/made`, '-q'], { env }).outcome;
    expect(right.code).toBe(0);
  });
});

test.each([
  ['rpcap', 'rpcap://host[:port]/interface '],
  ['vxlan', 'vxlan://address[:port] '],
])('help uri %s is headed by what is written', async (scheme, head) => {
  expect((await ringtapHere(['help', 'uri', scheme])).stdout.startsWith(head)).toBe(true);
});
