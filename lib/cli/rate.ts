import type { Capture } from '../index.js';
import { integer, scaled } from './format.js';
import type { Run } from './run.js';

const PERIOD_MS = 500;
const CLEAR_LINE = '\r\x1b[K';

/** Shows how a run is getting on, in one line of the terminal that is rewritten. @returns how to end it */
export function showRate(captures: readonly Capture[], run: Run): () => void {
  if (!process.stderr.isTTY) return () => {};
  let before = { packets: 0, bytes: 0, at: performance.now() };
  const timer = setInterval(() => {
    const now = { packets: run.packets, bytes: run.bytes, at: performance.now() };
    const seconds = (now.at - before.at) / 1000;
    const parts = [
      `${integer(now.packets)} packets`,
      scaled((now.packets - before.packets) / seconds, 'pps'),
      scaled(((now.bytes - before.bytes) * 8) / seconds, 'bit/s'),
      `${integer(captures.reduce((sum, capture) => sum + capture.stats().dropped, 0))} dropped`,
    ];
    before = now;
    process.stderr.write(`${CLEAR_LINE}${parts.join('  ')}`);
  }, PERIOD_MS);
  return () => {
    clearInterval(timer);
    process.stderr.write(CLEAR_LINE);
  };
}
