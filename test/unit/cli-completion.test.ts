// What the shells complete, as they do it themselves.
import { writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, lines, ringtap, start } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();
const asCommand = `ringtap() { "${process.execPath}" "${cli}" "$@"; }`;

beforeAll(async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { code, stdout } = await ringtap('completion', shell);
    expect(code).toBe(0);
    writeFileSync(path(shell), stdout);
  }
  writeFileSync(path('some trace.pcap'), '');
});

async function bash(line: string): Promise<string[]> {
  const program = `${asCommand}; cd "${path('.')}"; source ./bash; COMP_LINE="$1" COMP_POINT=\${#1}; _ringtap; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await start('bash', ['-c', program, 'bash', line]).outcome;
  expect(stderr).toBe('');
  return lines(stdout);
}

async function fish(line: string): Promise<string[]> {
  const program = `function ringtap; "${process.execPath}" "${cli}" $argv; end; cd "${path('.')}"; source ./fish; complete -C "$argv[1]"`;
  const { stdout } = await start('fish', ['--no-config', '-c', program, line]).outcome;
  return lines(stdout).map((one) => one.split('\t')[0]!);
}

/** What zsh shows when Tab is pressed behind the line, on a terminal of its own. */
async function zsh(line: string): Promise<string> {
  const program = `
import fcntl, os, pty, select, struct, sys, termios, time
child, terminal = pty.fork()
if child == 0:
    os.environ.update(TERM='dumb', PS1='> ', COLUMNS='200')
    os.execvp('zsh', ['zsh', '-f', '-i'])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 200, 200, 0, 0))
def read(until, quiet):
    text, end = '', time.time() + 20
    while time.time() < end and until not in text:
        if select.select([terminal], [], [], quiet if text else 20)[0]: text += os.read(terminal, 65536).decode()
        else: break
    return text
os.write(terminal, ("autoload -Uz compinit; compinit -u -D; LISTMAX=0\\n" + sys.argv[1] + '; cd "' + sys.argv[2] + '"; source ./zsh; print rea""dy\\n').encode())
read('ready', 20)
os.write(terminal, sys.argv[3].encode() + b'\\t')
sys.stdout.write(read('never', 3))
os.close(terminal)`;
  return (await start('python3', ['-c', program, asCommand, path('.'), line]).outcome).stdout;
}

describe('bash completes', () => {
  test('commands, with and without what is typed of them', async () => {
    expect(await bash('ringtap ')).toEqual(expect.arrayContaining(['list', 'capture', 'read', 'help', '--version']));
    expect(await bash('ringtap cap')).toEqual(['capture']);
    expect(await bash('ringtap help ur')).toEqual(['uri']);
    expect(await bash('ringtap completion f')).toEqual(['fish']);
  });

  test('options, and what follows them', async () => {
    expect(await bash('ringtap capture --int')).toEqual(['--interface']);
    expect(await bash('ringtap capture lo -Q i')).toEqual(['in', 'inout']);
    expect(await bash('ringtap capture lo -w some')).toEqual(['some trace.pcap']);
    expect(await bash('ringtap capture lo -c ')).toEqual([]);
    expect(await bash('ringtap list --auth')).toEqual(['--auth-file']);
    expect(await bash('ringtap list --tls-f')).toEqual(['--tls-fingerprint']);
  });

  test('URIs, which have a colon that bash breaks words at, and then words of a filter', async () => {
    expect(await bash('ringtap capture lo')).toContain('lo');
    expect(await bash('ringtap capture -i afpacket:l')).toEqual(['lo']);
    expect(await bash('ringtap stats afp')).toContain('afpacket:lo');
    expect(await bash('ringtap capture lo -c 5 por')).toEqual(['port', 'portrange']);
    expect(await bash('ringtap capture -i lo udp por')).toEqual(['port', 'portrange']);
    expect(await bash('ringtap read some')).toEqual(['some trace.pcap']);
  });
});

describe('fish completes', () => {
  test('commands, options, URIs and files', async () => {
    expect(await fish('ringtap cap')).toEqual(['capture']);
    expect(await fish('ringtap capture --int')).toEqual(['--interface']);
    expect(await fish('ringtap capture -i afpacket:l')).toContain('afpacket:lo');
    expect(await fish('ringtap capture lo -Q in')).toEqual(expect.arrayContaining(['in', 'inout']));
    expect((await fish('ringtap read some')).join()).toContain('some');
  });
});

describe('zsh completes', () => {
  test('commands, options and URIs', async () => {
    expect(await zsh('ringtap cap')).toMatch(/ringtap capture/);
    const options = await zsh('ringtap capture --');
    expect(options).toMatch(/--interface.*the URI/);
    expect(options).toMatch(/--batch-size/);
    expect(await zsh('ringtap capture afpacket:l')).toMatch(/afpacket:lo/);
    expect(await zsh('ringtap capture lo portr')).toMatch(/portrange/);
  });
});

test('every option of every command is in each script', async () => {
  const scripts = await Promise.all(
    ['bash', 'zsh', 'fish'].map(async (shell) => (await ringtap('completion', shell)).stdout),
  );
  for (const command of 'list doctor explain capture stats read info index merge split convert replay'.split(' ')) {
    const { stdout } = await ringtap(command, '--help');
    const options = [...stdout.matchAll(/^ {2}(?:-\w, )?--([a-z-]+)/gm)].map((match) => match[1]!);
    expect(options.length).toBeGreaterThan(0);
    for (const option of options) for (const script of scripts) expect(script).toContain(option);
  }
});
