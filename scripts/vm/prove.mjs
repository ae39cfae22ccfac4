// For scripts that run in a guest and show what works there: claims with figures, senders, and waiting.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const ip = (...args) => execFileSync('ip', args, { encoding: 'utf8' });

/** Prints a claim with its figures, and remembers when it is wrong. */
export function claim(holds, text, figures = '') {
  console.log(`${holds ? 'ok    ' : 'FAILED'} ${text}${figures === '' ? '' : `: ${figures}`}`);
  if (!holds) process.exitCode = 1;
}

/** Sends numbered frames with ringtap-pktgen; what it says when it is done. */
export async function send(iface, options) {
  const program = fileURLToPath(new URL('../../build/addon/bin/ringtap-pktgen', import.meta.url));
  const args = Object.entries({ iface, ...options }).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : [`--${name}`, String(value)],
  );
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`ringtap-pktgen: exit code ${code}`);
  return JSON.parse(output);
}

/** The number that ringtap-pktgen gave to a frame, where the frame is untagged UDP over IPv4. */
export const NUMBER_AT = 42;

/** Takes what there is until nothing has come for `quietMs`; `each` sees every batch. */
export async function drain(capture, each, quietMs = 1500) {
  for (let last = performance.now(); performance.now() - last < quietMs; await sleep(5)) {
    for (let batch = capture.tryNext(); batch !== null; batch = capture.tryNext()) {
      each(batch);
      last = performance.now();
    }
  }
}

/** Reads batches into a list of frame numbers. */
export function numbers() {
  const seen = [];
  const each = (batch) => {
    for (let i = 0; i < batch.length; i++) seen.push(Number(batch.view.getBigUint64(batch.offset[i] + NUMBER_AT)));
  };
  return { seen, each };
}

/** Is each number there at most once, in order, and within what was sent? */
export const inOrder = (seen, sent) => seen.every((n, i) => n >= 0 && n < sent && (i === 0 || n > seen[i - 1]));

/** received = delivered + filtered + dropped + pending, and the causes add up. */
export function balanced({ received, delivered, filtered, dropped, pending, drops }) {
  const causes = Object.values(drops).reduce((sum, n) => sum + (n ?? 0), 0);
  return received === delivered + filtered + dropped + pending && dropped === causes;
}

/** Loss by cause, without the causes that took nothing. */
export const causes = ({ drops }) =>
  Object.entries(drops)
    .filter(([, n]) => n > 0)
    .map(([name, n]) => `${name} ${n}`)
    .join(', ') || 'no drops';

export { sleep };
