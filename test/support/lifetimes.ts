import { describe, expect, test } from 'vitest';
import { script } from './child.js';
import { CYCLES, programs } from './programs.js';

type Uris = () => string | readonly string[];

/**
 * Registers the lifetime tests of one capture. `uri` is called when they run, and must have packets to read; it gives at
 * least twelve where one target can have one capture only. `env`: RINGTAP_ROUNDS and RINGTAP_CYCLES, where opening is slow,
 * RINGTAP_WARMUP, where a pool takes long to fill, RINGTAP_ABREAST, where it must be one after the other.
 */
export function lifetimes(name: string, uri: Uris, cycleUri = uri, env: Readonly<Record<string, string>> = {}): void {
  describe(`${name} is unharmed when`, () => {
    test.each(Object.entries(programs))('%s', async (_, { source, flags = [], output = 'done' }) => {
      const { code, signal, stdout, stderr, late } = await script(source, { args: [uri()].flat(), flags, env });
      expect({ code, signal, late, stderr }).toEqual({ code: 0, signal: null, late: false, stderr: '' });
      expect(stdout.trim()).toBe(output);
    });

    const cycles = env.RINGTAP_CYCLES ?? '1000';
    test(`it is opened and closed ${cycles} times`, async () => {
      const { code, stdout, stderr } = await script(CYCLES, {
        args: [cycleUri()].flat(),
        flags: ['--expose-gc'],
        env,
      });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const { before, after } = JSON.parse(stdout) as Record<
        'before' | 'after',
        { fds: number; threads: number; maps: number; rss: number }
      >;
      expect(after.fds).toBe(before.fds);
      expect(after.threads).toBe(before.threads);
      // glibc keeps stacks and arenas of threads that have ended; a mapping for each capture would be a thousand.
      expect(after.maps).toBeLessThan(before.maps + 100);
      // In KiB. One byte kept of each capture's 64 KiB would be as many pages.
      expect(after.rss).toBeLessThan(before.rss + 16_384);
    });
  });
}
