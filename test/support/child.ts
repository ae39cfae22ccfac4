// Scripts in processes of their own, for what must not happen to the test runner.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** It had to be killed. */
  readonly late: boolean;
}

export interface ScriptOptions {
  readonly args?: readonly string[];
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What the script is run with, such as setpriv and its arguments. */
  readonly prefix?: readonly string[];
  readonly timeoutMs?: number;
  /** Another node than ours. */
  readonly node?: string;
}

/** Runs an ES module in which 'ringtap' is ours. `process.argv.slice(1)` are its arguments. */
export async function script(source: string, options: ScriptOptions = {}): Promise<Ended> {
  const { args = [], flags = [], env = {}, prefix = [], timeoutMs = 150_000, node = process.execPath } = options;
  const [file, ...rest] = [...prefix, node, ...flags, '--input-type=module', '-e', source, '--', ...args];
  const child = spawn(file!, rest, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  clearTimeout(timer);
  return { code, signal, stdout, stderr, late };
}

/** Runs a program to its end; throws with its complaints when it fails. */
export async function run(file: string, ...args: string[]): Promise<string> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), 150_000);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  clearTimeout(timer);
  if (code !== 0) throw new Error(`${file} ${args.join(' ')}: exit code ${code}: ${stderr}`);
  return stdout;
}
