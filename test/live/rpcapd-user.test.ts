// A daemon that gives up root once it listens: no thread of it has a right that capturing does not need, and it captures.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { open, serve, userLine } from 'ringtap';
import { afterEach, describe, expect, test } from 'vitest';
import { cli, start } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { lab, traffic } from '../support/lab.js';
import { readAll } from '../support/packets.js';
import { until } from '../support/wait.js';

const path = temporaryFolder();

const USER = 'nobody';
const KEPT = (1n << 12n) | (1n << 13n); // CAP_NET_ADMIN, CAP_NET_RAW
const id = (flag: string) => execFileSync('id', [flag, USER]).toString().trim();
/** In a user namespace there may be nobody but root. */
const isRoot = process.getuid?.() === 0 && readFileSync('/proc/self/uid_map', 'utf8').includes('4294967295');

const children: ChildProcess[] = [];
async function rpcapd(...args: string[]): Promise<{ pid: number; port: number }> {
  const child = spawn(process.execPath, [cli, 'rpcapd', '-n', '-b', '127.0.0.1', '-p', '0', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  children.push(child);
  const [words] = (await once(child.stderr!, 'data')) as [Buffer];
  return { pid: child.pid!, port: Number(/port (\d+)/.exec(words.toString())?.[1]) };
}
afterEach(() => {
  for (const child of children.splice(0)) child.kill();
});

function statusOf(path: string): Record<string, string> {
  const lines = readFileSync(path, 'utf8').trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2) as [string, string]));
}

describe.skipIf(lab === null || !isRoot)('--user', () => {
  test('leaves no thread a right but those to capture, and packets are captured all the same', async () => {
    const { pid, port } = await rpcapd('--user', USER);
    for (const udp of [false, true]) {
      await using capture = await open(`rpcap://127.0.0.1:${port}/${lab!.rx}`, {
        filter: 'udp',
        transport: udp ? 'udp' : 'tcp',
      });
      const { sent } = await traffic({ count: 200 }).sent;
      expect(await readAll(capture, sent)).toHaveLength(200);
    }
    const [uid, gid] = [id('-u'), id('-g')];
    let looked = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const path = `/proc/${pid}/task/${thread}/status`;
      if (!existsSync(path)) continue; // of a capture that has ended
      const status = statusOf(path);
      looked++;
      expect(status.Uid?.split('\t')).toEqual([uid, uid, uid, uid]);
      expect(status.Gid?.split('\t')).toEqual([gid, gid, gid, gid]);
      expect(status.Groups?.trim().split(' ')).toEqual(id('-G').split(' '));
      for (const set of ['CapEff', 'CapPrm']) expect(BigInt(`0x${status[set]}`) & ~KEPT).toBe(0n);
      for (const set of ['CapInh', 'CapAmb']) expect(BigInt(`0x${status[set]}`)).toBe(0n);
    }
    expect(looked).toBeGreaterThan(1);
    const main = statusOf(`/proc/${pid}/status`);
    expect(BigInt(`0x${main.CapEff}`)).toBe(KEPT);
    expect(BigInt(`0x${main.CapBnd}`) & ~KEPT).toBe(0n);
    expect(main.NoNewPrivs).toBe('1');
  });

  test.each([
    ['of whom there is none', ['--user', 'no-such-user'], 'there is no user no-such-user', []],
    ['who is root', ['--user', 'root'], 'root is root, and loses no right', []],
    [
      'and a process that is not root',
      ['--user', USER],
      'the process cannot become nobody',
      ['--reuid', '1', '--clear-groups'],
    ],
  ])('a user %s is told of', async (_, args, words, as) => {
    const [program, ...rest] = [
      ...(as.length > 0 ? ['setpriv', ...as] : []),
      ...[process.execPath, cli, 'rpcapd', '-n', '-b', '127.0.0.1', '-p', '0', ...args],
    ];
    const result = await start(program!, rest).outcome;
    expect(result.code).not.toBe(0);
    expect(result.stderr).toContain(words);
  });

  test('and who never was root reads the file of users again, as the unit of systemd has it: the group may', async () => {
    const users = path('users');
    const write = async (user: string) => {
      writeFileSync(path('new'), `${await userLine(user, 'x')}\n`, { mode: 0o640 });
      chownSync(path('new'), 0, Number(id('-g')));
      renameSync(path('new'), users);
    };
    await write('first');
    chmodSync(path('.'), 0o755);
    const unit = readFileSync(new URL('../../contrib/systemd/ringtap-rpcapd.service', import.meta.url), 'utf8');
    const [, line] = /^ExecStart=\/usr\/bin\/env ringtap (.*)$/m.exec(unit)!;
    const args = line!.replace('/etc/ringtap/users', users).split(' ');
    const caps = /^AmbientCapabilities=(.*)$/m
      .exec(unit)![1]!
      .split(' ')
      .map((one) => `+${one.slice(4).toLowerCase()}`);
    const [inheritable, bounding] = [caps.join(','), ['-all', ...caps].join(',')];
    const child = spawn(
      'setpriv',
      [
        ...['--reuid', id('-u'), '--regid', id('-g'), '--clear-groups', '--no-new-privs'],
        ...['--inh-caps', inheritable, '--ambient-caps', inheritable, '--bounding-set', bounding],
        ...[process.execPath, cli, ...args, '-b', '127.0.0.1', '-p', '0'],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    children.push(child);
    let heard = '';
    child.stderr!.on('data', (piece) => {
      heard += piece;
    });
    await until(() => /port (\d+)/.test(heard), 'the daemon');
    const uri = `rpcap://127.0.0.1:${/port (\d+)/.exec(heard)![1]}/${lab!.rx}` as const;
    const opens = async (user: string) => (await open(uri, { auth: { user, password: 'x' } })).close();
    await opens('first');
    await write('second');
    child.kill('SIGHUP');
    await until(() => heard.includes('again'), 'the reading');
    await opens('second');
    await expect(opens('first')).rejects.toMatchObject({ code: 'RINGTAP_REMOTE_AUTH' });
    expect(heard).toContain('refused user "first": this user and password do not get in');
  });

  test('in the library they are RINGTAP_BAD_OPTION, and nothing listens any more', async () => {
    const failed = serve({ host: '127.0.0.1', port: 0, nullAuth: true, user: 'no-such-user' });
    await expect(failed).rejects.toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    expect(process.geteuid?.()).toBe(0);
  });
});
