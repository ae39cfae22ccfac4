import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';

const SUITE = fileURLToPath(new URL('../../bench/run.mjs', import.meta.url));

export function addBench(program: Command): void {
  // So that what follows `bench` is the suite's.
  program
    .enablePositionalOptions()
    .command('bench [arguments...]', { hidden: !existsSync(SUITE) })
    .description('measure what each capture method reaches on this host; from a clone of the repository')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(bench);
}

async function bench(args: string[]): Promise<void> {
  if (!existsSync(SUITE)) {
    throw new Error(
      `the benchmark suite is not part of the installed package: it builds traffic generators and C programs to compare with.
Clone the repository, run npm start there once, then npx ringtap bench --help`,
    );
  }
  const child = spawn(process.execPath, [SUITE, ...args], { stdio: 'inherit' });
  // A terminal sends its own SIGINT to the child, too; it has to be survived here, and passed on where there is none.
  const forward = (signal: NodeJS.Signals) => {
    if (!(signal === 'SIGINT' && process.stdin.isTTY)) child.kill(signal);
  };
  process.on('SIGINT', forward).on('SIGTERM', forward);
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  process.exitCode = code ?? 128 + constants.signals[signal!];
}
