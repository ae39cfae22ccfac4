// Writers killed at 200 random moments for each format: what was taken more than a second before is readable.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { killWriter } from '../support/crash.js';
import { temporaryFolder } from '../support/folder.js';

const TIMES = Number(process.env.RINGTAP_CRASHES ?? 200);
const AT_ONCE = 4;
const path = temporaryFolder();

test.each([
  ['pcap', {}],
  ['pcapng', {}],
  ['pcapng', { rotate: { bytes: 3_000_000 }, fsync: true }],
])(
  '%s with %j, killed at any moment, keeps what is older than a second',
  { timeout: TIMES * 10_000 },
  async (format, options) => {
    let next = 0;
    const kill = async () => {
      while (next < TIMES) {
        const folder = path(`${format}-${Object.keys(options).length}-${next++}`);
        mkdirSync(folder);
        const ms = Math.random() * 3000;
        const { old, readable, files } = await killWriter(folder, `${format}:${join(folder, 'a')}`, ms, options);
        expect(readable, `killed after ${ms} ms`).toBeGreaterThanOrEqual(old);
        let theirs = 0;
        for (const file of files) {
          const facts = execFileSync('sh', ['-c', 'capinfos -cM "$1" 2>/dev/null; true', 'sh', file]).toString();
          theirs += Number(/:\s+(\d+)$/m.exec(facts)?.[1]);
        }
        expect(theirs, `killed after ${ms} ms`).toBe(readable);
        rmSync(folder, { recursive: true });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, kill));
  },
);
