// `ringtap flows` on a terminal: a table that is drawn anew, keys, and a terminal that is as it was afterwards.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { cli } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { until } from '../support/wait.js';

const path = temporaryFolder();
const [HOME, CLEAR_LINE, CLEAR_REST] = ['\x1b[H', '\x1b[K', '\x1b[J'];
const LEAVE = '\x1b[?1049l';
let running: ChildProcess | undefined;
afterEach(() => running?.kill('SIGKILL'));

/** What stands on the terminal now: rows of the last picture. */
class Terminal {
  text = '';
  readonly process: ChildProcess;
  readonly #name: string;

  constructor(options: string, columns: number, rows: number) {
    this.#name = path(`tty-${columns}-${Math.random()}`);
    const command =
      `stty rows ${rows} cols ${columns}; stty -g > '${this.#name}-before'; tty > '${this.#name}'; ` +
      `"${process.execPath}" "${cli}" flows ${options}; echo "status $?"; stty -g > '${this.#name}-after'`;
    this.process = spawn('script', ['-qec', command, '/dev/null'], { env: { ...process.env, TERM: 'xterm' } });
    running = this.process;
    this.process.stdout!.on('data', (data) => {
      this.text += data;
    });
  }

  press(keys: string): void {
    this.process.stdin!.write(keys);
  }

  resize(columns: number, rows: number): void {
    const device = readFileSync(this.#name, 'utf8').trim();
    execFileSync('stty', ['-F', device, 'rows', String(rows), 'cols', String(columns)]);
  }

  get pictures(): string[][] {
    const pictures = this.text.split(HOME).slice(1);
    return pictures.map((text) => text.split(CLEAR_REST)[0]!.replaceAll(CLEAR_LINE, '').split('\r\n'));
  }

  get picture(): string[] {
    return this.pictures.at(-1) ?? [];
  }

  async see(what: RegExp, row?: number): Promise<string[]> {
    await until(() => what.test(row === undefined ? this.picture.join('\n') : (this.picture[row] ?? '')), `${what}`);
    return this.picture;
  }

  /** What is told after the table. */
  async end(): Promise<string> {
    await once(this.process, 'close');
    expect(readFileSync(`${this.#name}-after`, 'utf8')).toBe(readFileSync(`${this.#name}-before`, 'utf8'));
    return this.text.slice(this.text.lastIndexOf(LEAVE) + LEAVE.length).replaceAll('\r\n', '\n');
  }
}

const columnOf = (picture: readonly string[], name: string) =>
  picture.slice(2, -1).map((line) => line.slice(picture[1]!.indexOf(name)).split(' ')[0]!);

test('it is drawn anew each second, sorted by key presses, as large as the terminal; q ends it', async () => {
  const terminal = new Terminal("'synth:?rate=20000&flows=40'", 90, 20);
  const picture = await terminal.see(/bit\/s[\s\S]*UDP +\S+ +\S+ +[\d,]+ /);
  expect(picture).toHaveLength(20);
  expect(picture[0]).toMatch(/^synth:\S* +[\d,]+ packets +\S+ \w?bit\/s +\d+ open flows +0 dropped/);
  expect(picture[1]).toMatch(/^protocol +source +destination +packets +bytes +rate$/);
  expect(picture.at(-1)).toMatch(/^sort by: \[r rate\] .* q quit$/);
  const first = terminal.pictures.find(([head]) => !/ 0 packets/.test(head!))!;
  expect(first[2]).toMatch(/^(TCP|UDP) /); // what is open is on it at once
  terminal.press('s');
  const sorted = await terminal.see(/\[s source\]/);
  const sources = columnOf(sorted, 'source').map((end) => end.replace(/\d+/g, (digits) => digits.padStart(5, '0')));
  expect(sources.length).toBeGreaterThan(10);
  expect(sources).toEqual([...sources].sort());
  terminal.press('p');
  await terminal.see(/\[p packets\]/);
  terminal.resize(50, 10);
  await until(() => terminal.picture.length === 10 && terminal.picture.every((line) => line.length <= 50), 'smaller');
  const count = terminal.pictures.length;
  await until(() => terminal.pictures.length > count + 1, 'drawn anew'); // by the clock
  terminal.press('q');
  const rest = await terminal.end();
  expect(rest).toMatch(/^protocol +source +destination +packets +bytes +rate\n(TCP|UDP) /);
  expect(rest).toMatch(/packets, [\d,]+ of them in 80 flows\n0 flows had ended, 80 were open\n/);
  expect(rest).toContain('status 0');
});

test('Ctrl-C ends it, too, and --top sums', async () => {
  const terminal = new Terminal("'synth:?rate=20000&flows=40' --top dst", 100, 12);
  await terminal.see(/^destination +packets +bytes +rate$/, 1);
  await terminal.see(/^\S+ +[\d,]+ +\S+ \w?B +\S+ \w?bit\/s$/, 2);
  terminal.press('\x03');
  expect(await terminal.end()).toMatch(/^destination +packets +bytes +rate\n[\s\S]*status 0/);
});
