// What is in the file when a writer is killed, or the disk is full. test/long/crash.test.ts does it 200 times.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { script } from '../support/child.js';
import { killWriter } from '../support/crash.js';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();
let folders = 0;

function newFolder(): string {
  const folder = path(`${++folders}`);
  mkdirSync(folder);
  return folder;
}

test.each([
  ['pcap', 100, {}],
  ['pcapng', 1700, {}],
  ['pcapng', 2300, { rotate: { packets: 7001 } }],
])('%s killed after %i ms with %j holds every packet that was taken a second before', async (format, ms, options) => {
  const folder = newFolder();
  const { old, readable, files } = await killWriter(folder, `${format}:${join(folder, 'a')}`, ms, options);
  expect(readable).toBeGreaterThanOrEqual(old);
  if (ms > 1500) expect(old).toBeGreaterThan(0);
  let theirs = 0;
  for (const file of files) {
    // It says so by its exit code when the last packet is cut.
    const facts = execFileSync('sh', ['-c', 'capinfos -cM "$1" 2>/dev/null; true', 'sh', file]).toString();
    theirs += Number(/:\s+(\d+)$/m.exec(facts)?.[1]);
  }
  expect(theirs).toBe(readable);
});

test('on a full disk every whole record stays readable, the error is typed, and what was not written is told', async () => {
  const body = `
    import { execFileSync } from 'node:child_process';
    import { open, openWriter } from 'ringtap';
    const [folder] = process.argv.slice(1);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=300k', 'none', folder]);
    for (const format of ['pcap', 'pcapng']) for (const rotate of [undefined, { packets: 100 }]) {
      const capture = await open('synth:?count=10000&batchSize=50&sizes=300');
      const writer = await openWriter(format + ':' + folder + '/a', { linkType: 1, rotate });
      let taken = 0, code;
      try { for await (const batch of capture) { await writer.write(batch); taken += batch.length; await writer.flush(); } }
      catch (error) { code = error.code + ' ' + error.errno; taken = writer.stats().packets + writer.stats().dropped; }
      await writer.close().catch(() => {});
      let readable = 0;
      for (const name of (await import('node:fs')).readdirSync(folder)) {
        const trace = await open('file:' + folder + '/' + name);
        for await (const batch of trace) readable += batch.length;
        await trace.close();
        (await import('node:fs')).unlinkSync(folder + '/' + name);
      }
      const { packets, dropped } = writer.stats();
      console.log(format, code, readable === packets, packets + dropped === taken, packets > 500);
    }`;
  const { stdout, stderr } = await script(body, {
    args: [newFolder()],
    prefix: ['unshare', '--mount', '--map-root-user'],
  });
  expect(stderr).toBe('');
  expect(stdout).toBe(
    `${['pcap', 'pcap', 'pcapng', 'pcapng'].map((f) => `${f} RINGTAP_FILE_WRITE 28 true true true`).join('\n')}\n`,
  );
});

test('of a compressed trace on a full disk the writer claims what can be read, and no more', async () => {
  const body = `
    import { execFileSync } from 'node:child_process';
    import { open, openWriter } from 'ringtap';
    const [folder] = process.argv.slice(1);
    const frames = { method: 'zstd', sections: 'frames' };
    // 11m is full in the middle of a frame.
    for (const [size, compress] of [['12m', 'zstd'], ['12m', frames], ['11m', frames], ['12m', 'lz4'], ['12m', 'gzip']]) {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=' + size, 'none', folder]);
      const capture = await open('synth:?count=100000&sizes=64-1518');
      const writer = await openWriter('pcap:' + folder + '/a', { linkType: 1, compress, overwrite: true });
      let code;
      try { for await (const batch of capture) await writer.write(batch); } catch (error) { code = error.errno; }
      await writer.close().catch(() => {});
      let readable = 0;
      try { for await (const batch of await open('file:' + folder + '/a')) readable += batch.length; } catch {}
      console.log(code, readable > 0, writer.stats().packets - readable);
    }`;
  const { stdout } = await script(body, { args: [newFolder()], prefix: ['unshare', '--mount', '--map-root-user'] });
  expect(stdout).toBe('28 true 0\n'.repeat(5));
});

test('a full disk leaves no file of a rotation that has no packet', async () => {
  const body = `
    import { execFileSync } from 'node:child_process';
    import { readdirSync } from 'node:fs';
    import { open, openWriter } from 'ringtap';
    const [folder] = process.argv.slice(1);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=320k', 'none', folder]);
    const capture = await open('synth:?count=10000&batchSize=50&sizes=300');
    const writer = await openWriter('pcap:' + folder + '/a.pcap', { linkType: 1, rotate: { packets: 50 } });
    let code;
    try { for await (const batch of capture) { await writer.write(batch); await writer.flush(); } } catch (error) { code = error.errno; }
    await writer.close().catch(() => {});
    let empty = 0, readable = 0;
    for (const name of readdirSync(folder)) {
      let packets = 0;
      for await (const batch of await open('file:' + folder + '/' + name)) packets += batch.length;
      readable += packets;
      empty += packets === 0 ? 1 : 0;
    }
    console.log(code, empty, readable === writer.stats().packets);`;
  const { stdout } = await script(body, { args: [newFolder()], prefix: ['unshare', '--mount', '--map-root-user'] });
  expect(stdout).toBe('28 0 true\n');
});
