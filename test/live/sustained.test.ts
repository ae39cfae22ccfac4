// Captures that go to a disk: what comes at a rate that the disk can hold is all there. 60 s of it: test/long.
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { labMissing } from '../support/lab.js';
import { expectNothingLost, sustain } from '../support/sustained.js';

const path = temporaryFolder();

describe.skipIf(labMissing !== undefined)('a capture to disk', () => {
  test('of what a sender sends flat out loses nothing', { timeout: 180_000 }, async () => {
    const account = await sustain({ folder: path('flat-out'), seconds: 5, rate: 0, size: 60, queueBytes: 64 << 20 });
    expectNothingLost(account);
    expect(account.written / 5).toBeGreaterThan(50_000);
  });

  test.skipIf(process.getuid!() !== 0 || !existsSync('/dev/loop-control'))(
    'that stands still for half a second, twice, loses nothing where the queue is as long, and timers go on',
    { timeout: 180_000 },
    async () => {
      const account = await sustain({
        folder: path('standing'),
        seconds: 5,
        rate: 50_000,
        size: 500,
        queueBytes: 64 << 20,
        freezeMs: 500,
      });
      expectNothingLost(account);
      expect(account.longestFreeze).toBeGreaterThan(500);
      // Whoever waited for the disk would be half a second late. How late a busy machine is, test/long tells.
      expect(account.latest, JSON.stringify(account)).toBeLessThan(400);
    },
  );
});
