// `ringtap inline`, and the second terminal.
import { once } from 'node:events';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bump, CLIENT, closeBump, datagram, echo, IN, makeBump, RULE, SERVER } from '../support/bump.js';
import { ringtap, startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { lab } from '../support/lab.js';
import { until } from '../support/wait.js';

describe.skipIf(lab === null)('ringtap inline', () => {
  let bump: Bump;
  const file = temporaryFolder();
  beforeAll(async () => {
    bump = await makeBump();
  });
  afterAll(() => closeBump(bump));

  test('forwards by a file that is read again, and answers a second terminal', async () => {
    const [rules, socket, trace] = [file('rules.txt'), file('control'), file('inline.pcapng')];
    writeFileSync(rules, `${RULE}\n`);
    const { process: child, outcome } = startRingtap(['inline', rules, '--inline', trace, '--control', socket]);
    let said = '';
    child.stderr!.on('data', (text) => (said += text));
    await until(() => said.includes('forwards by 1 rule'), 'it to run');
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    const server = await echo(bump.server);
    expect(await datagram(bump.client, IN, 7, 40)).toBe('answer 40');

    const ask = (...words: string[]) => ringtap('inline', ...words, '--control', socket);
    expect(await ask('list')).toMatchObject({ code: 0, stdout: `${RULE}\n` });
    const other = `other: m0 ${CLIENT} -> 10.81.0.6 => m1 10.82.0.6 -> ${SERVER}`;
    expect(await ask('add', other)).toMatchObject({ code: 0, stdout: '' });
    expect(await datagram(bump.client, '10.81.0.6', 7, 41)).toBe('answer 41');
    const counted = JSON.parse((await ask('counters')).stdout);
    expect(counted.rules.map(({ name, toServer }: never) => [name, (toServer as { egress: number }).egress])).toEqual([
      ['web', 1],
      ['other', 1],
    ]);
    expect(await ask('add', other)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('two rules have the name "other"'),
    });
    const many = `many: nat m0 10.81.0.0/24 -> 10.81.0.8 => m1 10.82.0.8 -> ${SERVER} entries 9`;
    expect(await ask('add', many)).toMatchObject({ code: 0 });
    expect(await datagram(bump.client, '10.81.0.8', 7, 43)).toBe('answer 43');
    const { rules: counters } = JSON.parse((await ask('counters')).stdout);
    expect(counters[2].nat).toEqual({ entries: 1, clients: 1, created: 1, expired: 0 });
    expect((await ask('list')).stdout).toBe(`${RULE}\n${other}\n${many}\n`);
    expect(await ask('remove', 'many')).toMatchObject({ code: 0 });
    expect(await ask('remove', 'other')).toMatchObject({ code: 0 });
    expect(await ask('list')).toMatchObject({ stdout: `${RULE}\n` });

    writeFileSync(rules, `${RULE}\nwrong: m0 here\n`);
    child.kill('SIGHUP');
    await until(() => said.includes('goes on as it was'), 'the file to be read');
    expect(said).toContain(`${rules}:2:11: expected the client's address, not "here"`);
    expect(await datagram(bump.client, IN, 7, 42)).toBe('answer 42');
    writeFileSync(rules, `${RULE}\n${other}\n${many}\n`);
    child.kill('SIGHUP');
    await until(() => said.includes('read its rules again: 3 rules'), 'the file to be read');

    const busy = await ringtap('inline', rules, '--control', socket);
    expect(busy.code).toBe(1);
    child.kill('SIGTERM');
    const { code, stderr } = await outcome;
    expect(code).toBe(0);
    expect(stderr).toContain('web: to the server 2 packets came, 2 were sent');
    expect(stderr).toContain('many: 0 conversations, 0 still kept');
    expect(() => statSync(socket)).toThrow();
    expect((await ringtap('info', trace)).stdout).toContain('synthetic');
    server.child.kill();
    await once(server.child, 'close');
    rmSync(trace);
  });

  test('a second terminal that stays does not hold up the end', async () => {
    const [rules, socket] = [file('alone.txt'), file('stays')];
    writeFileSync(rules, `${RULE}\n`);
    const { process: child, outcome } = startRingtap(['inline', rules, '--no-probe', '--control', socket]);
    let said = '';
    child.stderr!.on('data', (text) => (said += text));
    await until(() => said.includes('forwards by 1 rule'), 'it to run');
    const idle = createConnection(socket).on('error', () => {});
    await once(idle, 'connect');
    child.kill('SIGTERM');
    await once(idle, 'close');
    expect((await outcome).code).toBe(0);
    expect(() => statSync(socket)).toThrow();
  });

  test('who listens and does not answer is told of, and keeps its socket', async () => {
    const path = file('silent');
    const silent = createServer((socket) => void socket.on('error', () => {})).listen(path);
    await once(silent, 'listening');
    const asked = await ringtap('inline', 'list', '--control', path);
    expect(asked).toMatchObject({ code: 1, stderr: expect.stringMatching(/does not answer/) });
    const rules = file('second.txt');
    writeFileSync(rules, `${RULE}\n`);
    const second = await ringtap('inline', rules, '--no-probe', '--control', path);
    expect(second).toMatchObject({ code: 1, stderr: expect.stringMatching(/another ringtap listens/) });
    expect(statSync(path).isSocket()).toBe(true);
    silent.close();
  });

  test.each<[string, string[], RegExp]>([
    ['no file', [], /a file of rules is missing/],
    ['a word without a socket', ['list'], /--control SOCKET is missing/],
    ['a file that is not there', ['nowhere.txt'], /ENOENT/],
    ['a socket that nobody listens at', ['list', '--control', '/nowhere'], /Start the forwarder first/],
  ])('says what is wrong: %s', async (_, args, message) => {
    const { code, stderr } = await ringtap('inline', ...args);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
  });
});
