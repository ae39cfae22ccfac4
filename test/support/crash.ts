// Writers that are killed while they write.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { open } from 'ringtap';
import { root } from './child.js';
import { starvedMs } from './killed.js';
import { sleep } from './wait.js';

/** Writes 20,000 packets a second, and says every 20 ms how many were taken. */
const WRITER = `
  import { writeSync } from 'node:fs';
  import { open, openWriter } from 'ringtap';
  const [uri, options] = process.argv.slice(1);
  const capture = await open('synth:?rate=20000&sizes=60-1500');
  const writer = await openWriter(uri, { linkType: 1, ...JSON.parse(options) });
  let taken = 0;
  setInterval(() => writeSync(1, taken + '\\n'), 20);
  for await (const batch of capture) { await writer.write(batch); taken += batch.length; }`;

export interface Killed {
  /** Packets that were taken more than `allowedMs` before. */
  readonly old: number;
  /** A second, and what the writer has waited for a core. */
  readonly allowedMs: number;
  /** Packets that can be read. */
  readonly readable: number;
  readonly files: readonly string[];
}

/** Kills a writer so many ms after it took its first packet. @param options of the writer */
export async function killWriter(folder: string, uri: string, afterMs: number, options: object = {}): Promise<Killed> {
  const args = ['--input-type=module', '-e', WRITER, '--', uri, JSON.stringify(options)];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const told: { readonly at: number; readonly taken: number }[] = [];
  let begin: (() => void) | undefined;
  const began = new Promise<void>((resolve) => {
    begin = resolve;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    told.push({ at: performance.now(), taken: Number(line) });
    if (Number(line) > 0) begin?.();
  });
  await Promise.race([began, closed]);
  await sleep(afterMs);
  const killed = performance.now();
  const allowedMs = 1000 + starvedMs(child.pid!);
  child.kill('SIGKILL');
  const [code] = await closed;
  if (code !== null) throw new Error(`the writer ended by itself, with ${code}`);
  const files = readdirSync(folder)
    .sort()
    .map((name) => join(folder, name));
  let readable = 0;
  for (const file of files) readable += await readableOf(file);
  return { old: told.filter(({ at }) => at < killed - allowedMs).at(-1)?.taken ?? 0, allowedMs, readable, files };
}

/** Packets of a trace up to where it is cut. */
async function readableOf(file: string): Promise<number> {
  await using trace = await open(`file:${file}`);
  let packets = 0;
  try {
    for await (const batch of trace) packets += batch.length;
  } catch (error) {
    if ((error as { code?: string }).code !== 'RINGTAP_FILE_TRUNCATED') throw error;
  }
  return packets;
}
