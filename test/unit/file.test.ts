import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { type Batch, open, openWriter, PacketFlags } from 'ringtap';
import { beforeAll, describe, expect, test } from 'vitest';
import { root, run, script } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { count, expectBalanced, failure, readAll, type Seen, see } from '../support/packets.js';
import { pcapFile, pcapngFile } from '../support/trace.js';
import { within } from '../support/wait.js';

const path = temporaryFolder();
const formats = ['pcap', 'pcapng'] as const;
const source = 'synth:?count=300&sizes=60-300&seed=9&vlanId=7&snaplen=200&rate=1000000&protocols=udp,tcp6,arp';
const written: Record<string, Seen[]> = {};

beforeAll(async () => {
  for (const format of formats) {
    await using capture = await open(source);
    const writer = await openWriter(`${format}:${path(`good.${format}`)}`);
    const seen: Seen[] = [];
    for await (const batch of capture) {
      seen.push(...see(batch));
      await writer.write(batch);
    }
    await writer.close(capture.stats());
    written[format] = seen;
  }
});

const plain = (seen: readonly Seen[]) =>
  seen.map(({ data, wirelen, timeNs }) => [data.toString('hex'), wirelen, timeNs]);

describe.each(formats)('a %s trace', (format) => {
  const good = () => path(`good.${format}`);

  test('comes back as it was written: bytes, lengths on the wire, nanoseconds', async () => {
    await using capture = await open(good());
    expect(capture.linkType).toBe(1);
    expect(plain(await readAll(capture))).toEqual(plain(written[format]!));
    expect(capture.stats()).toMatchObject({ received: 300, delivered: 300 });
  });

  test('is read by tcpdump with the same times and lengths', async () => {
    const lines = (await run('tcpdump', '-r', good(), '-nn', '-e', '-tt', '--nano', 'vlan 7'))
      .trim()
      .split('\n')
      .filter((line) => /^\d/.test(line));
    expect(lines).toHaveLength(300);
    for (const [i, line] of lines.entries()) {
      const { timeNs, wirelen } = written[format]![i]!;
      expect(line).toContain(`${timeNs / 1_000_000_000n}.${String(timeNs % 1_000_000_000n).padStart(9, '0')}`);
      expect(line).toContain(`length ${wirelen}`);
    }
  });

  test('may come through a pipe', async () => {
    const { stdout } = await within(
      script(
        `import { spawn } from 'node:child_process';
         import { openSync } from 'node:fs';
         const cat = spawn('sh', ['-c', 'sleep 0.05; cat "$1"', 'sh', process.argv[1]], { stdio: ['ignore', 'pipe', 'inherit'] });
         const reader = spawn(process.execPath, ['--input-type=module', '-e', "import { open } from 'ringtap'; let n = 0; for await (const batch of await open('-')) n += batch.length; console.log(n);"], { stdio: [cat.stdout, 'inherit', 'inherit'] });`,
        { args: [good()] },
      ),
      'the pipe',
    );
    expect(stdout.trim()).toBe('300');
  });

  test('cut anywhere gives every whole packet, then says where it was cut', async () => {
    const file = readFileSync(good());
    const cut = path(`cut.${format}`);
    const all = plain(written[format]!);
    for (const at of [
      ...Array.from({ length: 60 }, (_, i) => i),
      ...Array.from({ length: 80 }, (_, i) => 200 + i * 7),
      file.length - 5,
      file.length - 1,
    ]) {
      writeFileSync(cut, file.subarray(0, at));
      const seen: Seen[] = [];
      let error: Awaited<ReturnType<typeof failure>> | undefined;
      try {
        await using capture = await open(cut);
        try {
          for await (const batch of capture) seen.push(...see(batch));
        } finally {
          expectBalanced(capture.stats());
        }
      } catch (caught) {
        error = caught as typeof error;
      }
      // What was delivered is the beginning of what was written.
      expect(plain(seen)).toEqual(all.slice(0, seen.length));
      if (error === undefined) continue;
      expect(error.name, String(error)).toBe('CaptureError');
      expect(['RINGTAP_FILE_TRUNCATED', 'RINGTAP_FILE_FORMAT'], `${at}: ${error.message}`).toContain(error.code);
      if (error.code === 'RINGTAP_FILE_TRUNCATED') expect(error.position).toBeLessThan(at);
    }
    // A cut in the last packet's record leaves all before it.
    const second = 24 + 16 + written.pcap![0]!.data.length;
    if (format === 'pcap') {
      writeFileSync(cut, file.subarray(0, second + 20));
      const seen: Seen[] = [];
      const error = await failure(async () => {
        await using capture = await open(cut);
        for await (const batch of capture) seen.push(...see(batch));
      });
      expect(error).toMatchObject({ code: 'RINGTAP_FILE_TRUNCATED', position: second });
      expect(error.message).toContain(`byte ${second}`);
      expect(seen).toHaveLength(1);
    }
  });

  test('with random damage ends in packets or a typed error, never worse', async () => {
    const file = readFileSync(good());
    let seed = 42;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const codes = new Set<string>();
    for (let round = 0; round < 150; round++) {
      const bad = Buffer.from(file);
      for (let i = 0; i < 1 + random(8); i++) bad[random(round % 2 === 0 ? 400 : bad.length)] = random(256);
      writeFileSync(path('bad'), bad);
      try {
        await using capture = await open(path('bad'), { filter: 'udp or vlan' });
        for await (const batch of capture) for (const packet of batch) expect(packet.data().length).toBe(packet.caplen);
        expectBalanced(capture.stats());
      } catch (error) {
        expect((error as Error).name, String(error)).toBe('CaptureError');
        codes.add((error as { code: string }).code);
      }
    }
    expect(codes).toContain('RINGTAP_FILE_CORRUPT');
    for (const code of codes) {
      expect([
        'RINGTAP_FILE_CORRUPT',
        'RINGTAP_FILE_TRUNCATED',
        'RINGTAP_FILE_FORMAT',
        'RINGTAP_BAD_OPTION',
        'RINGTAP_BAD_FILTER',
      ]).toContain(code);
    }
  });
});

function made(name: string, content: string | Uint8Array): string {
  writeFileSync(path(name), content);
  return path(name);
}

describe('a trace that cannot be read', () => {
  test.each([
    ['is missing', () => path('missing.pcap'), 'RINGTAP_FILE_OPEN', /missing\.pcap.*No such file/],
    [
      'is a folder without a file',
      () => mkdtempSync(path('folder-')),
      'RINGTAP_FILE_OPEN',
      /no file is in this folder/,
    ],
    ['is empty', () => made('empty', ''), 'RINGTAP_FILE_FORMAT', /empty/],
    ['is text', () => made('text', 'hello, this is not a trace\n'.repeat(10)), 'RINGTAP_FILE_FORMAT', /text/],
    [
      'is text inside',
      () => made('x.pcap.gz', gzipSync('hello, this is not a trace\n'.repeat(10))),
      'RINGTAP_FILE_FORMAT',
      /x\.pcap\.gz/,
    ],
    ['is /dev/null', () => '/dev/null', 'RINGTAP_FILE_FORMAT', /\/dev\/null/],
  ])('because it %s says so', async (_, make, code, text) => {
    const uri = make();
    const error = await failure(() => open(uri));
    expect(error).toMatchObject({ code, uri, backend: 'file' });
    expect(error.message).toMatch(text);
    expect(error.hint).toBeTruthy();
  });

  test('because its permissions forbid it says so', async () => {
    writeFileSync(path('secret.pcap'), readFileSync(path('good.pcap')));
    chmodSync(path('secret.pcap'), 0);
    const { stdout } = await script(
      `import { open } from 'ringtap';
       console.log(await open(process.argv[1]).catch(({ code, errno, message }) => JSON.stringify({ code, errno, message })));`,
      {
        args: [path('secret.pcap')],
        prefix:
          process.getuid!() === 0 ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--securebits=+noroot'] : [],
      },
    );
    // Root without capabilities still owns the file, but may not read it.
    expect(JSON.parse(stdout)).toMatchObject({ code: 'RINGTAP_FILE_OPEN', errno: 13 });
  });
});

describe('a FIFO that nobody writes to', () => {
  // The program ends by itself: nothing waits on for what nobody wants any more.
  test.each([
    ['an abort', "setTimeout(() => controller.abort('enough'), 50);", 'enough\n'],
    ['process.exit()', "setTimeout(() => process.exit(), 50); console.log('exit');", 'exit\n'],
  ])(
    'does not keep a program from ending after %s',
    async (how, end, expected) => {
      const pipe = path(`unread-${how}`);
      execFileSync('mkfifo', [pipe]);
      const opening = `
      import { open } from 'ringtap';
      const controller = new AbortController();
      ${end}
      await open('file:' + ${JSON.stringify(pipe)}, { signal: controller.signal }).catch((reason) => console.log(reason));`;
      const { stdout, late } = await script(opening);
      expect({ stdout, late }).toEqual({ stdout: expected, late: false });
    },
    30_000,
  );
});

test('a pipe with the beginning of a trace, and nothing more for seconds, costs no CPU and is read when it comes', async () => {
  execFileSync('mkfifo', [path('slow')]);
  const whole = readFileSync(path('good.pcapng'));
  const section = whole.readUInt32LE(4);
  writeFileSync(path('head'), whole.subarray(0, section));
  writeFileSync(path('rest'), whole.subarray(section));
  const writer = spawn('sh', ['-c', '(cat head; sleep 2.5; cat rest) > slow'], { cwd: path('.'), stdio: 'inherit' });
  // Listening starts here: the writer may end before the last packet is read.
  const end = once(writer, 'close');
  const usage = process.cpuUsage();
  await using capture = await open(`file:${path('slow')}`);
  const { user, system } = process.cpuUsage(usage);
  expect((user + system) / 1000).toBeLessThan(1000);
  expect(await readAll(capture)).toHaveLength(written.pcapng!.length);
  await within(end, 'the end of the pipe');
});

describe('openWriter()', () => {
  test.each([
    ['pcap:/nonexistent/out.pcap', /\/nonexistent\/out\.pcap/],
    ['pcapng:/proc/out.pcapng', /\/proc\/out\.pcapng/],
    ['/', /directory/],
  ])('refuses %s at once', async (uri, text) => {
    const error = await failure(() => openWriter(uri));
    expect(error).toMatchObject({ code: 'RINGTAP_FILE_WRITE', uri, syscall: 'open' });
    expect(error.errno).toBeGreaterThan(0);
    expect(error.message).toMatch(text);
  });

  test.each(['', 'pcap:', 'dag:out.erf', 'afpacket:eth0', 'a\0b'])('refuses %j as a URI', async (uri) => {
    expect((await failure(() => openWriter(uri))).code).toBe('RINGTAP_BAD_URI');
  });

  test.each([{ snaplen: 13 }, { snaplen: 1e9 }, { linkType: -1 }, { linkType: 1.5 }])('refuses %o', async (options) => {
    expect((await failure(() => openWriter(path('never.pcap'), options))).code).toBe('RINGTAP_BAD_OPTION');
  });
});

describe('a writer', () => {
  const write = async (uri: string, options?: Parameters<typeof openWriter>[1]) => {
    await using capture = await open('synth:?count=20000&sizes=500');
    const writer = await openWriter(uri, options);
    for await (const batch of capture) await writer.write(batch);
    await writer.close();
    return writer;
  };

  test.each(formats)('of %s on a full disk says so, at the latest when it closes', async (format) => {
    const error = await failure(() => write(`${format}:/dev/full`));
    expect(error).toMatchObject({ code: 'RINGTAP_FILE_WRITE', errno: 28 });
    expect(error.message).toContain('/dev/full');
    expect(error.message).toContain('No space left');
  });

  test('that failed keeps failing, and does not leave a rejection unhandled', async () => {
    await using capture = await open('synth:?sizes=1500');
    const writer = await openWriter('pcap:/dev/full');
    const rejections: unknown[] = [];
    const onRejection = (reason: unknown) => rejections.push(reason);
    process.on('unhandledRejection', onRejection);
    const error = await failure(async () => {
      for await (const batch of capture) await writer.write(batch);
    });
    expect(error.code).toBe('RINGTAP_FILE_WRITE');
    expect((await failure(() => writer.write(capture.tryNext()!))).code).toBe('RINGTAP_FILE_WRITE');
    expect((await failure(() => writer.flush())).code).toBe('RINGTAP_FILE_WRITE');
    expect((await failure(() => writer.close())).code).toBe('RINGTAP_FILE_WRITE');
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', onRejection);
    expect(rejections).toEqual([]);
  });

  test('that is closed refuses packets, and may be closed again', async () => {
    const writer = await write(path('closed.pcap'));
    await using capture = await open('synth:');
    expect((await failure(() => writer.write(capture.tryNext()!))).code).toBe('RINGTAP_CLOSED');
    await writer.close();
    expect(writer.stats()).toEqual({
      packets: 20000,
      bytes: 24 + 20000 * 516,
      queued: 0,
      dropped: 0,
      files: 1,
      late: 0,
    });
  });

  test('refuses a second write beside one that waits, so that packets stay in order', async () => {
    await using capture = await open('synth:?sizes=1500&batchSize=1024&bufferBytes=64m');
    const writer = await openWriter(path('busy.pcap'));
    const batches = Array.from({ length: 20 }, () => capture.tryNext()!.hold());
    const outcomes = await Promise.allSettled(batches.map((batch) => writer.write(batch)));
    const codes = outcomes.map((outcome) => (outcome.status === 'fulfilled' ? 'written' : outcome.reason.code));
    expect(new Set(codes)).toEqual(new Set(['written', 'RINGTAP_BUSY']));
    await writer.write(capture.tryNext()!);
    await writer.close();
    await using trace = await open(path('busy.pcap'));
    const times = (await readAll(trace)).map(({ timeNs }) => timeNs);
    expect(times).toHaveLength(1024 * (1 + codes.filter((code) => code === 'written').length));
    expect(times.every((time, i) => i === 0 || time > times[i - 1]!)).toBe(true);
  });

  test('waits for the reader of a named pipe without blocking anything, and gives up when it is closed', async () => {
    const pipe = path('pipe');
    execFileSync('mkfifo', [pipe]);
    await using capture = await open('synth:?count=1000');
    const unread = await openWriter(pipe);
    const write = failure(() => unread.write(capture.tryNext()!));
    await expect(unread.close()).rejects.toMatchObject({ code: 'RINGTAP_FILE_WRITE' });
    expect((await write).errno).toBe(constants.errno.ENXIO);

    const opening = openWriter(`pcap:${pipe}`, { linkType: capture.linkType });
    const reader = spawn('cat', [pipe], { stdio: ['ignore', 'pipe', 'inherit'] });
    const bytes = buffer(reader.stdout);
    const writer = await within(opening, 'the reader');
    let size = 24;
    for await (const batch of capture) {
      for (const { caplen } of batch) size += 16 + caplen;
      await writer.write(batch);
    }
    await writer.close();
    expect(size).toBeGreaterThan(24 + 16);
    expect((await within(bytes, 'the end of the pipe')).length).toBe(size);
  });

  test('refuses a released batch, and one of a closed capture', async () => {
    const writer = await openWriter(path('released.pcap'));
    const capture = await open('synth:');
    const batch = capture.tryNext()!;
    batch.release();
    expect((await failure(() => writer.write(batch))).code).toBe('RINGTAP_RELEASED');
    await capture.close();
    expect((await failure(() => writer.write(batch))).code).toBe('RINGTAP_RELEASED');
    await writer.close();
  });

  test('of pcap refuses another link type; pcapng takes it', async () => {
    for (const format of formats) {
      const writer = await openWriter(`${format}:${path(`types.${format}`)}`, { linkType: 101 });
      await using capture = await open('synth:?count=10');
      const batch = capture.tryNext()!;
      if (format === 'pcap') expect((await failure(() => writer.write(batch))).code).toBe('RINGTAP_BAD_OPTION');
      else await writer.write(batch);
      await writer.close();
      await using back = await open(path(`types.${format}`));
      const seen = await readAll(back);
      expect(seen.map(({ linkType }) => linkType)).toEqual(format === 'pcap' ? [] : Array(10).fill(1));
    }
  });

  test('refuses descriptors that were written over, and stays usable', async () => {
    const writer = await openWriter(path('scribbled.pcap'));
    await using capture = await open('synth:?count=30&batchSize=10');
    for (const scribble of [
      (batch: { offset: Uint32Array }) => batch.offset.fill(0xfffffff0),
      (batch: { caplen: Uint32Array }) => batch.caplen.fill(0xffffffff),
    ]) {
      const batch = capture.tryNext()!;
      scribble(batch);
      expect((await failure(() => writer.write(batch))).code).toBe('RINGTAP_BAD_OPTION');
    }
    await writer.write(capture.tryNext()!);
    await writer.close();
    await using back = await open(path('scribbled.pcap'));
    expect(await count(back)).toBe(10);
  });

  test.each(formats)('of %s that got nothing leaves an empty, valid trace', async (format) => {
    const writer = await openWriter(`${format}:${path(`none.${format}`)}`);
    await writer.close();
    await using back = await open(path(`none.${format}`));
    expect(await count(back)).toBe(0);
  });

  test('cuts packets to its snaplen', async () => {
    await write(path('short.pcap'), { snaplen: 40 });
    await using back = await open(path('short.pcap'));
    for (const { data, wirelen } of await readAll(back, 300)) expect([data.length, wirelen]).toEqual([40, 500]);
  });

  test('writes batches of held memory after the capture has gone on', async () => {
    await using capture = await open('synth:?count=640&batchSize=64&seed=4');
    await using writer = await openWriter(path('held.pcap'));
    const held = [];
    for await (const batch of capture) held.push(batch.hold());
    for (const batch of held) {
      await writer.write(batch);
      batch.release();
    }
    await writer.close();
    await using back = await open(path('held.pcap'));
    await using same = await open('synth:?count=640&seed=4');
    expect(plain(await readAll(back))).toEqual(plain(await readAll(same)));
  });
});

test('a record longer than the memory that was there is shown in memory of its own, and stays while it is held', async () => {
  const sizes = [60, 3 << 20, 61, 5 << 20, 62];
  const dbus = 231;
  const packets = sizes.map((size, i) => ({ data: Buffer.alloc(size, i + 1) }));
  writeFileSync(path('long.pcap'), pcapFile(packets, dbus));
  await using capture = await open(path('long.pcap'), { batchSize: 1 });
  const held: Batch[] = [];
  for await (const batch of capture) {
    held.push(batch.hold());
    if (held.length < capture.plan.maxLeases - 1) continue;
    const oldest = held.shift()!;
    const { data } = packets[packets.length - sizes.length]!;
    expect(data.equals(oldest.data(0))).toBe(true);
    sizes.shift();
    oldest.release();
  }
  expect(held.map((batch) => batch.caplen[0])).toEqual(sizes);
  expect(held.every((batch, i) => packets.at(i - held.length)!.data.equals(batch.data(0)))).toBe(true);
  // Given bufferBytes is the most that may be taken.
  await using bounded = await open(`${path('long.pcap')}`, { bufferBytes: 4 << 20 });
  const error = await failure(() => count(bounded));
  expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
  expect(error.hint).toContain('bufferBytes');
});

describe('times', () => {
  const data = Buffer.alloc(60, 1);
  const spread = [
    0n,
    1_700_000_000_123_456_789n,
    1_700_000_000_999_999_999n,
    1_000_000_001n,
    4_294_967_295_999_999_999n,
  ];

  test('are exact however far from the first packet, in the batch, in its copies and in what is written', async () => {
    writeFileSync(path('spread.pcap'), pcapFile(spread.map((time) => ({ data, time }))));
    await using capture = await open(path('spread.pcap'));
    const writers = await Promise.all(
      formats.map((format) => openWriter(`${format}:${path(`spread-again.${format}`)}`)),
    );
    const batch = capture.nextSync(1000)!;
    for (const seen of [batch, batch.copy(), batch.copy().copy()]) {
      expect(Array.from(seen, (packet) => packet.timeNs)).toEqual(spread);
      const rounded = Array.from(
        seen.flags.subarray(0, seen.length),
        (flags) => (flags & PacketFlags.timeInexact) !== 0,
      );
      expect(rounded).toEqual([false, true, true, false, true]);
    }
    for (const writer of writers) {
      await writer.write(batch);
      await writer.close();
    }
    for (const format of formats) {
      await using back = await open(path(`spread-again.${format}`));
      expect((await readAll(back)).map(({ timeNs }) => timeNs)).toEqual(spread);
      const theirs = await run(
        'tshark',
        '-r',
        path(`spread-again.${format}`),
        '-T',
        'fields',
        '-e',
        'frame.time_epoch',
      );
      expect(
        theirs
          .trim()
          .split('\n')
          .map((text) => BigInt(text.replace('.', ''))),
      ).toEqual(spread);
    }
  });

  test('are exact beyond what 64 bits of nanoseconds hold, and before 1970', async () => {
    const ticks = [1n, 2n ** 64n - 1n];
    for (const [resolution, offset, perSecond] of [
      [6, 0n, 1_000_000n],
      [0, 2n ** 63n - 1n, 1n],
      [9, -(2n ** 63n), 1_000_000_000n],
      [6, -1_700_001_000n, 1_000_000n],
    ] as const) {
      writeFileSync(
        path('far.pcapng'),
        pcapngFile(
          { resolution, offset },
          ticks.map((tick) => ({ data, ticks: tick })),
        ),
      );
      await using capture = await open(path('far.pcapng'));
      expect((await readAll(capture)).map(({ timeNs }) => timeNs)).toEqual(
        ticks.map((tick) => offset * 1_000_000_000n + tick * (1_000_000_000n / perSecond)),
      );
    }
  });

  test('that a format cannot hold are refused with what it can, and the packets before are in the file', async () => {
    const negative = pcapngFile(
      { offset: -1000n },
      [1_000_000_000n, 5n].map((ticks) => ({ data, ticks })),
    );
    writeFileSync(path('negative.pcapng'), negative);
    for (const format of formats) {
      await using capture = await open(path('negative.pcapng'));
      const writer = await openWriter(`${format}:${path(`refused.${format}`)}`);
      const batch = capture.nextSync(1000)!;
      const error = await failure(() => writer.write(batch));
      expect(error).toMatchObject({ code: 'RINGTAP_UNSUPPORTED' });
      expect(error.message).toContain('-999.99');
      expect(error.hint).toContain('1970');
      await writer.close();
      expect(writer.stats().packets).toBe(1);
    }
  });
});

test('a broken pipe on standard output is an error, not a signal', async () => {
  const child = spawn(
    'bash',
    [
      '-c',
      `"${process.execPath}" --input-type=module -e "
    import { open, openWriter } from 'ringtap';
    const writer = await openWriter('pcap:-');
    try { for await (const batch of await open('synth:?sizes=1000')) await writer.write(batch); } catch (error) { console.error(error.code); process.exit(3); }
  " | head -c 1000 > /dev/null; exit \${PIPESTATUS[0]}`,
    ],
    { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const code = await within(new Promise((resolve) => child.once('close', resolve)), 'the broken pipe');
  expect({ code, stderr: stderr.trim() }).toEqual({ code: 3, stderr: 'RINGTAP_FILE_WRITE' });
});
