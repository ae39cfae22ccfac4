import { once } from 'node:events';
import { printableJson, printableLines } from '../printable.js';
import { EXIT, report } from './errors.js';

/** Ends the process when its output cannot be written: quietly where the reader has gone, as after `| head`. */
export function endWithOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      process.exit(error.code === 'EPIPE' ? (process.exitCode ?? EXIT.done) : report(error));
    });
  }
}

/** Writes to stdout what is printable; resolves when there is room for more. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}

/** Writes text in which something from outside stands. What may hold a line end of its own comes here as `printable()`. */
export function printText(text: string): Promise<void> {
  return print(printableLines(text));
}

export function printJson(value: unknown, indent?: number): Promise<void> {
  return print(`${printableJson(JSON.stringify(value, undefined, indent))}\n`);
}
