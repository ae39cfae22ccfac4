import { once } from 'node:events';
import { fstatSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { CaptureError } from '../errors/errors.js';
import { printableJson, printableLines } from '../errors/printable.js';
import { EXIT, report } from './errors.js';

const terminals = [0, 1, 2].filter((fd) => isatty(fd));

/**
 * Ends the process when its output cannot be written: quietly where the reader has gone, as after `| head`. A terminal
 * that has gone is none of it: that is told by SIGHUP.
 */
export function endWithOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    if (isFile(stream.fd)) writeWhole(stream);
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EIO') return endWithTerminal();
      process.exit(error.code === 'EPIPE' ? (process.exitCode ?? EXIT.done) : report(faultOf(error)));
    });
  }
}

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false; // it is closed
  }
}

/** WHY: of a file, Node takes what a disk that fills up has taken for all of it, and the end is lost unnoticed. */
function writeWhole(stream: NodeJS.WriteStream & { fd: number }): void {
  stream._write = (chunk: Buffer, _encoding, done) => {
    try {
      for (let at = 0; at < chunk.length; ) at += writeSync(stream.fd, chunk, at);
    } catch (error) {
      return done(error as Error);
    }
    done();
  };
}

/** With its place, which a stream does not know, and what helps. */
function faultOf({ code, errno, syscall, message }: NodeJS.ErrnoException): CaptureError {
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return new CaptureError('RINGTAP_FILE_WRITE', `standard output: ${message}`, {
    syscall,
    errno: errno === undefined ? undefined : -errno,
    hint: isFull ? 'The file system is full: make room (df -h, df -i), or write elsewhere.' : undefined,
  });
}

/** Where the terminal has gone, the process ends by SIGHUP, once it has done everything else. */
export function endWithTerminal(): void {
  if (!process.listeners('exit').includes(hangUp)) process.on('exit', hangUp);
}

// WHY: as it ends, Node restores the mode of each terminal, and aborts where that fails.
function hangUp(): void {
  if (terminals.every((fd) => isatty(fd))) return;
  process.removeAllListeners('SIGHUP');
  process.kill(process.pid, 'SIGHUP');
}

/** Writes to stdout what is printable; resolves when there is room for more. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}

/** The same for bytes that were made printable where they were made. */
export async function printBytes(bytes: Uint8Array): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
}

/** Writes text in which something from outside stands. What may hold a line end of its own comes here as `printable()`. */
export function printText(text: string): Promise<void> {
  return print(printableLines(text));
}

export function printJson(value: unknown, indent?: number): Promise<void> {
  return print(`${printableJson(JSON.stringify(value, undefined, indent))}\n`);
}
