// What is shown on narrow terminals, and in a pipe.
import { describe, expect, test } from 'vitest';
import { cli, lines, ringtap, start, startRingtap } from '../support/cli.js';

/** What a terminal of so many columns is sent. */
async function onTerminal(width: number, ...args: string[]): Promise<string> {
  const command = `stty cols ${width}; "${process.execPath}" "${cli}" ${args.join(' ')}`;
  const env = { COLUMNS: '', TERM: 'xterm-256color' };
  const { stdout } = await start('script', ['-qec', command, '/dev/null'], { env }).outcome;
  return stdout.replaceAll('\r\n', '\n');
}

const tooLong = (text: string, width: number) => lines(text).filter((line) => line.length > width);
/** Hints, and examples, are there to be copied. */
const isCommand = (line: string) => /^ *(hint: |\$ )/.test(line);
const isOneWord = (line: string) => !/\S \S/.test(line);

describe.each([60, 80])('on a terminal of %d columns', (width) => {
  test('list has no line that is longer, and all that there is', async () => {
    const [shown, { stdout }] = [await onTerminal(width, 'list'), await ringtap('list', '--json')];
    expect(tooLong(shown, width).filter((line) => !isCommand(line))).toEqual([]);
    for (const { name, uris } of JSON.parse(stdout)) {
      expect(shown).toContain(name);
      for (const uri of uris) expect(shown).toContain(uri);
    }
  });

  test('doctor breaks nothing but sentences', async () => {
    const shown = await onTerminal(width, 'doctor');
    expect(tooLong(shown, width).filter((line) => !isCommand(line) && !isOneWord(line))).toEqual([]);
    expect(shown).toMatch(/^ok {6}kernel +\S/m);
  });

  test.each(['', ...'list doctor explain capture stats read info index merge split convert'.split(' ')])(
    'help of %s has no line that is longer',
    async (command) => {
      const shown = await onTerminal(width, command, '--help');
      expect(shown).toContain('Usage: ringtap');
      expect(tooLong(shown, width).filter((line) => !isCommand(line))).toEqual([]);
    },
  );
});

describe('in a pipe', () => {
  test('help and list are 80 columns wide, or as $COLUMNS says', async () => {
    for (const [width, env] of [
      [80, { COLUMNS: '' }],
      [50, { COLUMNS: '50' }],
    ] as const) {
      const help = await startRingtap(['capture', '--help'], { env }).outcome;
      expect(tooLong(help.stdout, width).filter((line) => !isCommand(line) && !isOneWord(line))).toEqual([]);
      const list = await startRingtap(['list'], { env }).outcome;
      expect(tooLong(list.stdout, width).filter((line) => !isCommand(line) && !isOneWord(line))).toEqual([]);
    }
  });

  test('doctor has one line for each finding and each hint', async () => {
    const { stdout } = await startRingtap(['doctor'], { env: { COLUMNS: '' } }).outcome;
    for (const line of lines(stdout).slice(0, -1)) {
      expect(line).toMatch(/^(ok|warn|fail) +\S| {10}hint: /);
    }
  });
});

test('nothing has colours, with and without NO_COLOR, on a terminal, too', async () => {
  for (const args of [['list'], ['doctor'], ['--help'], ['capture', 'synth:?count=3'], ['captur']]) {
    for (const env of [{ NO_COLOR: '1' }, { FORCE_COLOR: '3' }]) {
      const command = `"${process.execPath}" "${cli}" ${args.map((arg) => `'${arg}'`).join(' ')}`;
      const { stdout } = await start('script', ['-qec', command, '/dev/null'], { env }).outcome;
      expect(stdout).not.toContain('\x1b[');
      expect(stdout.length).toBeGreaterThan(20);
    }
  }
});
