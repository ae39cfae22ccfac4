// The command, as a user runs it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Outcome {
  /** null after a signal. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** It and what it starts get a process group of their own, to be signalled together. */
  readonly group?: boolean;
}

/** A run that is still going on. */
export interface Running {
  readonly process: ChildProcess;
  readonly outcome: Promise<Outcome>;
}

/** Starts a program; `outcome` resolves when it has ended, whatever its exit code. */
export function start(
  file: string,
  args: readonly string[],
  { input, env, cwd, group = false }: RunOptions = {},
): Running {
  const options = { env: { ...process.env, TZ: 'UTC', ...env }, cwd, detached: group };
  const child = spawn(file, args, { stdio: 'pipe', ...options });
  child.stdin.on('error', () => {}); // It may not want to read all of it.
  child.stdin.end(input);
  const collect = async (): Promise<Outcome> => {
    const [stdout, stderr, [code, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ]);
    return { code, signal, stdout, stderr };
  };
  return { process: child, outcome: collect() };
}

export function startRingtap(args: readonly string[], options?: RunOptions): Running {
  return start(process.execPath, [cli, ...args], options);
}

/** Runs `ringtap` to its end. */
export function ringtap(...args: string[]): Promise<Outcome> {
  return startRingtap(args).outcome;
}

/** Runs a line of shell in which `ringtap` means ours. */
export function shell(line: string): Promise<Outcome> {
  return start('bash', ['-c', `ringtap() { "${process.execPath}" "${cli}" "$@"; }; ${line}`]).outcome;
}

/** What tcpdump prints of a trace, by line; lines of a hex dump are left out. */
export async function tcpdump(...args: string[]): Promise<string[]> {
  const { stdout } = await start('tcpdump', ['-nn', '-S', ...args]).outcome;
  return lines(stdout).filter((line) => !line.startsWith('\t'));
}

export function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** How many packets tcpdump finds in a trace. */
export async function packetsIn(path: string): Promise<number> {
  return (await tcpdump('-q', '-r', path)).length;
}
