// Writers that are killed at any moment, and what others find in their files.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { open } from 'ringtap';
import { expect } from 'vitest';
import { root, run } from './child.js';

/** Writes batches of a few rates, silences too, and says after each how many packets it has given to the writer. */
const PROGRAM = `
import { open, openWriter } from 'ringtap';
const [path, compress] = process.argv.slice(1);
const capture = await open('synth:?sizes=imix&batchSize=64');
const writer = await openWriter(path, { linkType: capture.linkType, compress });
const pauses = [0, 1, 20, 400];
let taken = 0;
console.log(0);
for await (const batch of capture) {
  await writer.write(batch);
  taken += batch.length;
  if (taken % 1024 !== 0) continue;
  console.log(taken);
  await new Promise((go) => setTimeout(go, pauses[Math.floor(Math.random() * pauses.length)]));
}`;

/** What was written so long ago is to be found. */
const ALLOWED_MS = 1000;

/**
 * How many ms a thread of this process, other than its first, has waited for a core at most. WHY: on a machine that is
 * busy with others a writer is late, whatever it does; this is no test of who else is busy.
 */
export function starvedMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`).filter((thread) => Number(thread) !== pid);
  const waited = threads.map((thread) => {
    const [, ns] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
    return Number(ns) / 1e6;
  });
  return Math.max(...waited);
}

/** Packets in a trace without an end, as we read it. */
async function ours(path: string): Promise<number> {
  let count = 0;
  try {
    await using capture = await open(path);
    for await (const batch of capture) count += batch.length;
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^RINGTAP_FILE_TRUNCATED$/) });
  }
  return count;
}

/** And as capinfos does, which fails where the end is missing, and says how far it came. */
async function theirs(path: string): Promise<number> {
  const text = await run('sh', '-c', 'capinfos -Mc "$1" 2>&1; true', 'sh', path);
  return Number(/(?:Number of packets:|after reading)\s+(\d+)/.exec(text)?.[1] ?? Number.NaN);
}

/** Kills one writer somewhen, and expects all in its file that was there a second before. */
export async function killOne(path: string, compress: string): Promise<void> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, '--', path, compress], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const told: [at: number, packets: number][] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => told.push([performance.now(), Number(line)]));
  await once(lines, 'line');
  await new Promise((go) => setTimeout(go, 1000 + Math.random() * 1500));
  const killed = performance.now();
  const allowed = ALLOWED_MS + starvedMs(child.pid!);
  child.kill('SIGKILL');
  await once(child, 'close');
  const due = told.filter(([at]) => at < killed - allowed).at(-1)?.[1] ?? 0;
  const found = await ours(path);
  expect(found, `${path}: ours`).toBeGreaterThanOrEqual(due);
  expect(await theirs(path), `${path}: capinfos`).toBeGreaterThanOrEqual(due);
  rmSync(path);
}

/** What is written: the name and compress of openWriter(). */
export const KILLED = [
  ['plain.pcap', 'none'],
  ['plain.pcapng', 'none'],
  ['trace.pcap.zst', 'zstd'],
  ['trace.pcapng.zst', 'zstd:3'],
  ['trace.pcapng.lz4', 'lz4'],
  ['trace.pcapng.gz', 'gzip'],
] as const;
