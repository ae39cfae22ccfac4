import { once } from 'node:events';

/** Whoever read our output has gone, as after `| head`: there is nobody to tell, and nothing left to do. */
export function endQuietlyOnBrokenPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      process.exit(process.exitCode ?? 0);
    });
  }
}

/** Writes to stdout; resolves when there is room for more. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}

export function printJson(value: unknown, indent?: number): Promise<void> {
  return print(`${JSON.stringify(value, undefined, indent)}\n`);
}
