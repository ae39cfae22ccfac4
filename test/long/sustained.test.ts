// A minute of capture to disk: flat out, and on a disk that stands still.
import { expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { type Account, expectNothingLost, sustain } from '../support/sustained.js';

const SECONDS = 60;
const path = temporaryFolder();
/** Figures for whoever reads along. */
const tell = (what: string, account: Account) => console.error(what, JSON.stringify(account));

test('flat out for a minute loses nothing', { timeout: 400_000 }, async () => {
  const account = await sustain({ folder: path('flat'), seconds: SECONDS, rate: 0, size: 60, queueBytes: 128 << 20 });
  tell('flat out', account);
  expectNothingLost(account);
});

test('a disk that stands still for half a second, twice in a minute, costs nothing', { timeout: 400_000 }, async () => {
  const account = await sustain({
    folder: path('standing'),
    seconds: SECONDS,
    rate: 50_000,
    size: 500,
    queueBytes: 64 << 20,
    freezeMs: 500,
  });
  tell('standing still', account);
  expectNothingLost(account);
  expect(account.longestFreeze).toBeGreaterThan(500);
  expect(account.latest).toBeLessThan(20);
});
