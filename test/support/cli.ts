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

/**
 * The same without a process of its own, as main.ts has it: for what is refused or answered at once, and leaves no handler of a
 * signal behind. One at a time.
 */
export async function ringtapHere(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Pick<Outcome, 'code' | 'stdout' | 'stderr'>> {
  const [{ createProgram }, { report }] = await Promise.all([
    import('../../dist/cli/program.js'),
    import('../../dist/cli/errors.js'),
  ]);
  const heard = { stdout: '', stderr: '' };
  const before = { stdout: process.stdout.write, stderr: process.stderr.write };
  const variables = { ...process.env };
  const hear = (name: 'stdout' | 'stderr') =>
    ((piece: string | Uint8Array) => {
      heard[name] += typeof piece === 'string' ? piece : Buffer.from(piece).toString();
      return true;
    }) as typeof process.stdout.write;
  process.stdout.write = hear('stdout');
  process.stderr.write = hear('stderr');
  Object.assign(process.env, env);
  let code = 0;
  try {
    await (await createProgram(args[0])).parseAsync(args, { from: 'user' });
  } catch (error) {
    code = report(error);
  } finally {
    process.stdout.write = before.stdout;
    process.stderr.write = before.stderr;
    for (const name of Object.keys(env)) {
      if (variables[name] === undefined) delete process.env[name];
      else process.env[name] = variables[name];
    }
  }
  return { code, ...heard };
}
