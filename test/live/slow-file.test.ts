// Traces on a disk that is slow, or a server that is gone: nothing of the program waits for them but the packets.
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Ended, script } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { labMissing } from '../support/lab.js';
import { pcapFile } from '../support/trace.js';

const DELAY_MS = 400;
const PACKETS = 3000;
const path = temporaryFolder();
const trace = path('trace.pcap');
writeFileSync(trace, pcapFile(Array.from({ length: PACKETS }, (_, i) => ({ data: Buffer.alloc(200, i) }))));

/** In a mount namespace of its own; `file` is the trace on the slow disk, `stall()` how long timers were held up. */
async function onSlowDisk(source: string, hangAt = Number.POSITIVE_INFINITY): Promise<Ended> {
  const before = `
    import { open } from 'ringtap';
    import { spawn } from 'node:child_process';
    import { mkdirSync, readFileSync } from 'node:fs';
    import { once } from 'node:events';
    import { Worker } from 'node:worker_threads';
    const [, trace, folder] = process.argv;
    mkdirSync(folder, { recursive: true });
    const disk = spawn(process.execPath, [${JSON.stringify(fileURLToPath(new URL('../support/slow-disk.mjs', import.meta.url)))},
      trace, folder, '${DELAY_MS}', '${hangAt}'], { stdio: ['ignore', 'pipe', 'inherit'] });
    process.on('exit', () => disk.kill('SIGKILL'));
    await once(disk.stdout, 'data');
    const file = 'file:' + folder + '/trace';
    let last = performance.now(), longest = 0;
    setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 5).unref();
    const stall = () => longest;
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const timed = async (what) => {
      const begin = performance.now();
      await what();
      return performance.now() - begin;
    };
    ${source}
    process.exit(0);`;
  return script(before, { args: [trace, path('disk')], prefix: ['unshare', '-m'] });
}

describe.skipIf(labMissing !== undefined || !existsSync('/dev/fuse'))('a trace on a slow disk', () => {
  test('is read whole while timers run', async () => {
    const { stdout, stderr, code } = await onSlowDisk(`
      let packets = 0;
      const capture = await open(file);
      for await (const batch of capture) packets += batch.length;
      console.log(JSON.stringify({ packets, stall: stall() }));`);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const { packets, stall } = JSON.parse(stdout);
    expect(packets).toBe(PACKETS);
    expect(stall).toBeLessThan(DELAY_MS / 2);
  });

  test('is read whole by one who waits for it synchronously', async () => {
    const { stdout, code } = await onSlowDisk(`
      let packets = 0;
      const capture = await open(file);
      for (let batch = capture.nextSync(); batch !== null; batch = capture.nextSync(20_000)) {
        packets += batch.length;
        if (packets === ${PACKETS}) break;
      }
      console.log(packets);`);
    expect({ stdout, code }).toEqual({ stdout: `${PACKETS}\n`, code: 0 });
  });

  test('that does not answer any more does not hold up close()', async () => {
    const { stdout, stderr, code } = await onSlowDisk(
      `
      const capture = await open(file);
      let packets = 0;
      const reading = (async () => { for await (const batch of capture) packets += batch.length; })();
      await sleep(3 * ${DELAY_MS});
      const closing = await timed(() => capture.close());
      await reading;
      console.log(JSON.stringify({ packets, closing, stall: stall() }));`,
      256 << 10,
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const { packets, closing, stall } = JSON.parse(stdout);
    expect(packets).toBeGreaterThan(0);
    expect(packets).toBeLessThan(PACKETS);
    expect(closing).toBeLessThan(2000);
    expect(stall).toBeLessThan(DELAY_MS / 2);
  });

  test('that does not answer any more does not hold up the end of a worker, whose read may end after it', async () => {
    const { stdout, stderr, code } = await onSlowDisk(
      `
      const worker = new Worker(\`
        import { parentPort, workerData } from 'node:worker_threads';
        import { open } from 'ringtap';
        for await (const batch of await open(workerData)) parentPort.postMessage(batch.length);
      \`, { eval: true, workerData: file });
      await once(worker, 'message');
      await sleep(2 * ${DELAY_MS});
      const terminating = await timed(() => worker.terminate());
      // The read that was left behind ends now, with an error.
      disk.kill('SIGKILL');
      await sleep(300);
      console.log(terminating);`,
      256 << 10,
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(Number(stdout)).toBeLessThan(2000);
  });

  test('that never answered does not keep open() from being given up', async () => {
    const { stdout, stderr, code } = await onSlowDisk(
      `
      const giveUp = new AbortController();
      const opening = open(file, { signal: giveUp.signal });
      await sleep(500);
      giveUp.abort(new Error('enough'));
      const waited = await timed(() => opening.catch((error) => console.log(error.message)));
      // The threads that open files are free again.
      const free = await timed(() => Promise.all(Array.from({ length: 8 }, () => open(trace).then((c) => c.close()))));
      console.log(JSON.stringify({ waited, free }));`,
      0,
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const [message, figures] = stdout.trim().split('\n');
    expect(message).toBe('enough');
    expect(JSON.parse(figures!).waited).toBeLessThan(2000);
    expect(JSON.parse(figures!).free).toBeLessThan(5000);
  });
});
