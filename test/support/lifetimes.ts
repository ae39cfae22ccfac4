import { describe, expect, test } from 'vitest';
import { script } from './child.js';
import { CYCLES, programs } from './programs.js';

type Uris = () => string | readonly string[];

/**
 * How often: all of it in `npm run test:long`, of which RINGTAP_LONG=1 is the sign. A leak of a descriptor, a thread or a mapping
 * for each capture shows after a hundred of them, too; one of a byte does not.
 */
function times(env: Readonly<Record<string, string>>) {
  const rounds = Number(env.RINGTAP_ROUNDS ?? 8);
  const cycles = Number(env.RINGTAP_CYCLES ?? 1000);
  const warmup = Number(env.RINGTAP_WARMUP ?? cycles / 5);
  if (process.env.RINGTAP_LONG !== undefined) return { rounds, cycles, warmup };
  return { rounds: Math.min(rounds, 3), cycles: Math.min(cycles, 100), warmup: Math.min(warmup, 100) };
}

/**
 * Registers the lifetime tests of one capture. `uri` is called when they run, and must have packets to read; it gives at
 * least twelve where one target can have one capture only. `env`: RINGTAP_ROUNDS and RINGTAP_CYCLES, where opening is slow,
 * RINGTAP_WARMUP, where a pool takes long to fill, RINGTAP_ABREAST, where it must be one after the other.
 */
export function lifetimes(name: string, uri: Uris, cycleUri = uri, env: Readonly<Record<string, string>> = {}): void {
  const { rounds, cycles, warmup } = times(env);
  const often = {
    ...env,
    RINGTAP_ROUNDS: String(rounds),
    RINGTAP_CYCLES: String(cycles),
    RINGTAP_WARMUP: String(warmup),
  };
  describe(`${name} is unharmed when`, () => {
    test.each(Object.entries(programs))('%s', async (_, { source, flags = [], output = 'done' }) => {
      const { code, signal, stdout, stderr, late } = await script(source, { args: [uri()].flat(), flags, env: often });
      expect({ code, signal, late, stderr }).toEqual({ code: 0, signal: null, late: false, stderr: '' });
      expect(stdout.trim()).toBe(output);
    });

    test(`it is opened and closed ${cycles} times`, async () => {
      const { code, stdout, stderr } = await script(CYCLES, {
        args: [cycleUri()].flat(),
        // V8's young generation grows with the rate of allocation, by mappings of 256 KiB: here it may not.
        flags: ['--expose-gc', '--max-semi-space-size=1'],
        env: often,
      });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const { before, after } = JSON.parse(stdout) as Record<
        'before' | 'after',
        { fds: number; threads: number; maps: number; rss: number }
      >;
      expect(after.fds).toBe(before.fds);
      expect(after.threads).toBe(before.threads);
      // glibc keeps stacks and arenas of threads that have ended; a mapping for each capture would be as many as those.
      expect(after.maps).toBeLessThan(before.maps + 30);
      // In KiB. One byte kept of each capture's 64 KiB would be as many pages.
      expect(after.rss).toBeLessThan(before.rss + 16_384);
    });
  });
}
