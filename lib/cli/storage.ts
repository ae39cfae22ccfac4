import { type Command, Option } from 'commander';
import type { WriterOptions } from '../index.js';
import { UsageError } from './errors.js';
import { parseFileSize } from './rotate.js';

/** What commander makes of the options that {@link addStorageOptions} adds. */
export interface StorageFlags {
  queueSize?: number;
  overflow?: 'wait' | 'drop';
  direct?: true;
  preallocate?: number;
}

/** The options that say how packets get from the capture to the disk. */
export function addStorageOptions(command: Command): Command {
  return command
    .option(
      '--queue-size <size>',
      'memory that packets wait in for the disk (millions of bytes; k, m, g); 4m if not given',
      parseFileSize,
    )
    .addOption(
      new Option('--overflow <way>', 'where that is full: wait, so that the capture may drop, or drop').choices([
        'wait',
        'drop',
      ]),
    )
    .option('--direct', 'write past the page cache (O_DIRECT)')
    .option(
      '--preallocate <size>',
      'claim so much of the disk ahead at a time (millions of bytes; k, m, g)',
      parseFileSize,
    );
}

/** Their values as `openWriter()` takes them. @param file what `-w` names */
export function storageOptions(flags: StorageFlags, file: string | undefined): WriterOptions {
  const { queueSize, overflow, direct, preallocate } = flags;
  const given = Object.entries({
    '--queue-size': queueSize,
    '--overflow': overflow,
    '--direct': direct,
    '--preallocate': preallocate,
  });
  const first = given.find(([, value]) => value !== undefined)?.[0];
  if (first !== undefined && file === undefined) throw new UsageError(`${first} is about a trace: -w FILE`);
  if (file === '-' && (direct || preallocate !== undefined)) {
    throw new UsageError(`${direct ? '--direct' : '--preallocate'} is about a disk, not about standard output`);
  }
  return {
    ...(queueSize === undefined ? {} : { queueBytes: queueSize }),
    ...(overflow === undefined ? {} : { overflow }),
    ...(direct ? { direct } : {}),
    ...(preallocate === undefined ? {} : { preallocateBytes: preallocate }),
  };
}
