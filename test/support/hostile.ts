// Runs hostile.mjs in a folder with a victim, in a process of its own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from './cli.js';

const program = fileURLToPath(new URL('hostile.mjs', import.meta.url));

/** What a run found out: how much was tried, and what was not as it must be. */
export interface Verdict {
  readonly trials: number;
  readonly faults: readonly string[];
}

export function plant(...args: string[]): Promise<Verdict> {
  return plantIn({}, ...args);
}

/** The same in an environment of its own. */
export async function plantIn(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Verdict> {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-hostile-'));
  try {
    writeFileSync(join(folder, 'victim'), 'as it was');
    const line = 'cd "$1" && shift && exec "$@"';
    const argv = ['-c', line, 'sh', folder, process.execPath, '--no-warnings', program, ...args];
    const { stdout, stderr, code, signal } = await start('sh', argv, { env }).outcome;
    try {
      return JSON.parse(stdout) as Verdict;
    } catch {
      return { trials: 0, faults: [`exit code ${code ?? signal}: ${stderr.slice(-2000)}, ${stdout.slice(-2000)}`] };
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
