// Captures that go to a disk for a while: nothing is lost, and the program does other things beside it.
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { script } from './child.js';
import { lab } from './lab.js';

export interface Sustained {
  /** Where it is mounted, and the traces lie. */
  readonly folder: string;
  readonly seconds: number;
  /** Packets a second; 0: as many as can be sent. */
  readonly rate: number;
  readonly size: number;
  readonly queueBytes: number;
  /** A disk of its own, that stands still for so long in the middle, and again. */
  readonly freezeMs?: number;
}

/** What came of it. Times are ms. */
export interface Account {
  readonly sent: number;
  readonly received: number;
  readonly dropped: number;
  readonly written: number;
  readonly notWritten: number;
  /** How much later than 10 ms after the last one a timer was at worst, and 99 of 100 times. */
  readonly latest: number;
  readonly late99: number;
  readonly longestFreeze: number;
  readonly residentMiB: number;
}

const PKTGEN = fileURLToPath(new URL('../../build/addon/bin/ringtap-pktgen', import.meta.url));
/** The ring holds what comes while the machine lets others run. */
const RING = 512 << 20;

const BODY = `
  import { execFileSync, spawn } from 'node:child_process';
  import { once } from 'node:events';
  import { mkdirSync } from 'node:fs';
  import { text } from 'node:stream/consumers';
  import { open, openWriter } from 'ringtap';
  const { folder, seconds, rate, size, queueBytes, freezeMs, rx, tx, pktgen, ring } = JSON.parse(process.argv[1]);
  mkdirSync(folder, { recursive: true });
  if (freezeMs) {
    execFileSync('truncate', ['-s', '4G', folder + '/disk']);
    execFileSync('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=1,lazy_journal_init=1', folder + '/disk']);
    mkdirSync(folder + '/mounted');
    execFileSync('mount', ['-o', 'loop', folder + '/disk', folder + '/mounted']);
  }
  const into = freezeMs ? folder + '/mounted' : folder;
  const capture = await open('afpacket:' + rx, { bufferBytes: ring, batchSize: 4096 });
  // A ring of two files: a disk has an end.
  const writer = await openWriter('pcap:' + into + '/a.pcap', {
    linkType: capture.linkType, queueBytes, overflow: 'drop', rotate: { bytes: 1e9, files: 2 }, preallocateBytes: 64e6,
  });
  const late = [];
  let last = performance.now();
  const timer = setInterval(() => { const now = performance.now(); late.push(now - last - 10); last = now; }, 10);
  const count = rate > 0 ? rate * seconds : 4e9;
  const sender = spawn(pktgen, ['--iface', tx, '--count', count, ...(rate > 0 ? ['--rate', rate] : []), '--size', size, '--core', 0, '--method', 'txring'],
    { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = text(sender.stdout);
  const stop = setTimeout(() => sender.kill('SIGINT'), seconds * 1000);
  let longestFreeze = 0;
  const freeze = async () => {
    const begin = performance.now();
    // In one process that thaws it, whatever becomes of this one.
    const sh = spawn('sh', ['-c', 'fsfreeze -f "$1"; sleep "$2"; fsfreeze -u "$1"', 'sh', into, String(freezeMs / 1000)]);
    await once(sh, 'close');
    longestFreeze = Math.max(longestFreeze, performance.now() - begin);
  };
  if (freezeMs) {
    setTimeout(freeze, seconds * 300);
    setTimeout(freeze, seconds * 600);
  }
  let residentMiB = 0;
  setInterval(() => { residentMiB = Math.max(residentMiB, Math.round(process.memoryUsage.rss() / 2 ** 20)); }, 500).unref();
  const reading = (async () => { for await (const batch of capture) await writer.write(batch); })();
  await once(sender, 'close');
  clearTimeout(stop);
  const { sent } = JSON.parse(await said);
  while (capture.stats().pending > 0) await new Promise((go) => setTimeout(go, 50));
  clearInterval(timer);
  const { received, dropped } = capture.stats();
  await new Promise((go) => setTimeout(go, 100));
  await capture.close();
  await reading;
  await writer.close();
  const { packets, dropped: notWritten } = writer.stats();
  late.sort((a, b) => a - b);
  console.log(JSON.stringify({ sent, received, dropped, written: packets, notWritten, latest: late.at(-1),
    late99: late[Math.floor(late.length * 0.99)], longestFreeze, residentMiB }));`;

/** Captures traffic of the lab to a disk, in a mount namespace of its own. */
export async function sustain(what: Sustained): Promise<Account> {
  const argument = JSON.stringify({ ...what, rx: lab!.rx, tx: lab!.tx, pktgen: PKTGEN, ring: RING });
  const { stdout, stderr, code } = await script(BODY, {
    args: [argument],
    // All its threads before others, where that is allowed: this is no test of who else is busy.
    prefix: [
      'sh',
      '-c',
      '{ renice -n -20 $$; echo -20 > /proc/$$/autogroup; } > /dev/null 2>&1; exec "$@"',
      'sh',
      'unshare',
      '--mount',
    ],
    timeoutMs: what.seconds * 1000 + 120_000,
  });
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  return JSON.parse(stdout) as Account;
}

/** Nothing was lost, by whomever. */
export function expectNothingLost({ sent, received, dropped, written, notWritten }: Account): void {
  expect(sent).toBeGreaterThan(1000);
  expect({ dropped, notWritten }).toEqual({ dropped: 0, notWritten: 0 });
  expect(received).toBeGreaterThanOrEqual(sent);
  expect(written).toBe(received);
}
