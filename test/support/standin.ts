// Stand-ins for PF_RING's kernel module and library (native/test/pfring). They take the place of real ones.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const standIn = (name: string) =>
  fileURLToPath(new URL(`../../build/addon/lib/libpfring-standin-${name}.so`, import.meta.url));

/** The environment in which they answer; empty where they were not built. */
export const pfring: Record<string, string> = existsSync(standIn('module'))
  ? { LD_PRELOAD: standIn('module'), RINGTAP_LIBPFRING: standIn('library') }
  : {};

/** One in which PF_RING is missing, whatever this host has. */
export const withoutPfring: Record<string, string> = { ...pfring, RINGTAP_STANDIN: 'socket=97' };
