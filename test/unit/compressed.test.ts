// Compressed traces, each against the tools that the world has for it.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type CompressOptions, open, openWriter } from 'ringtap';
import { beforeAll, describe, expect, test } from 'vitest';
import { run, script } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';
import { sleep, within } from '../support/wait.js';

const path = temporaryFolder();
const PACKETS = 30_000;
const source = `synth:?count=${PACKETS}&sizes=imix&seed=5`;
/** Suffix → the tool that packs and unpacks it. */
const TOOLS = { zst: 'zstd', lz4: 'lz4', gz: 'gzip', xz: 'xz', bz2: 'bzip2' } as const;
const suffixes = Object.keys(TOOLS) as (keyof typeof TOOLS)[];
const WRITTEN = ['zst', 'lz4', 'gz'] as const;

const unpack = (suffix: keyof typeof TOOLS, file: string) =>
  execFileSync(TOOLS[suffix], ['-dc', file], { maxBuffer: 2 ** 30, stdio: ['ignore', 'pipe', 'ignore'] });
const pack = (suffix: keyof typeof TOOLS, bytes: Uint8Array, ...more: string[]) =>
  execFileSync(TOOLS[suffix], ['-c', '-1', ...more], {
    input: bytes,
    maxBuffer: 2 ** 30,
    stdio: ['pipe', 'pipe', 'ignore'],
  });

async function write(name: string, compress?: string | CompressOptions) {
  await using capture = await open(source);
  const writer = await openWriter(path(name), { linkType: capture.linkType, compress, overwrite: true });
  for await (const batch of capture) await writer.write(batch);
  await writer.close();
  return writer.stats();
}

async function packets(uri: string) {
  await using capture = await open(uri);
  let count = 0;
  try {
    for await (const batch of capture) count += batch.length;
  } catch (error) {
    return { count, error: error as { code: string; position: number; decompressedPosition: number; message: string } };
  }
  return { count, error: undefined };
}

const made = (name: string, bytes: Uint8Array) => {
  writeFileSync(path(name), bytes);
  return path(name);
};

let plain: Buffer;
beforeAll(async () => {
  await write('plain.pcap');
  plain = readFileSync(path('plain.pcap'));
});

describe.each(suffixes)('a trace packed by the tool for .%s', (suffix) => {
  let packed: Buffer;
  beforeAll(() => {
    packed = pack(suffix, plain);
  });

  test('is read as the same packets, whatever it is called', async () => {
    const name = made(`by-tool-${suffix}`, packed);
    await using capture = await open(name);
    expect(capture.plan.notes.join()).toContain(`compressed with ${TOOLS[suffix]}`);
    const writer = await openWriter(path('read.pcap'), { linkType: capture.linkType, overwrite: true });
    for await (const batch of capture) await writer.write(batch);
    await writer.close();
    expect(readFileSync(path('read.pcap')).equals(plain)).toBe(true);
  });

  test('is read from standard input, as it comes', async () => {
    const { stdout } = await script(
      `import { open } from 'ringtap';
       let count = 0;
       for await (const batch of await open('file:-')) count += batch.length;
       console.log(count);`,
      { prefix: ['sh', '-c', `${TOOLS[suffix]} -1 -c ${path('plain.pcap')} | "$@"`, 'sh'] },
    );
    expect(stdout).toBe(`${PACKETS}\n`);
  });

  test('may be several, one behind the other', async () => {
    const half = Math.floor(plain.length / 2);
    const both = Buffer.concat([pack(suffix, plain.subarray(0, half)), pack(suffix, plain.subarray(half))]);
    expect(await packets(made(`both-${suffix}`, both))).toEqual({ count: PACKETS, error: undefined });
  });

  test('gives every whole packet where it is cut, then says where', async () => {
    const whole = packed;
    const name = made(`cut-${suffix}`, whole.subarray(0, Math.floor(whole.length * 0.6)));
    const { count, error } = await packets(name);
    expect(error).toMatchObject({ code: 'RINGTAP_FILE_TRUNCATED', position: Math.floor(whole.length * 0.6) });
    expect(error!.message).toMatch(/at byte \d+ of the file, behind byte \d+ of what was decompressed/);
    // Not fewer than the tool gives; it drops what it could not finish.
    let tool: Buffer;
    try {
      tool = unpack(suffix, name);
    } catch (failed) {
      tool = (failed as { stdout: Buffer }).stdout;
    }
    expect(error!.decompressedPosition).toBeGreaterThanOrEqual(tool.length);
    writeFileSync(path('prefix.pcap'), plain.subarray(0, error!.decompressedPosition));
    expect(count).toBe((await packets(path('prefix.pcap'))).count);
    expect(count).toBeGreaterThan(1000);
  });

  test('gives what is before the damage, then says where that is', async () => {
    const bytes = Buffer.from(packed);
    const at = Math.floor(bytes.length * 0.7);
    for (let i = 0; i < 64; i++) bytes[at + i] = bytes[at + i]! ^ 0xa5;
    const { count, error } = await packets(made(`damaged-${suffix}`, bytes));
    // lz4 and zstd may find out by the checksum at the end; what they gave may then be no sound record.
    expect(error?.code).toBe('RINGTAP_FILE_CORRUPT');
    expect(count).toBeGreaterThan(1000);
  });

  test('that is empty inside is an empty trace', async () => {
    const error = await failure(() => open(made(`empty-${suffix}`, pack(suffix, Buffer.alloc(0)))));
    expect(error).toMatchObject({ code: 'RINGTAP_FILE_FORMAT' });
    expect(error.message).toMatch(/empty/);
  });

  test('is refused with its package where the library is missing', async () => {
    const variable = { zst: 'ZSTD', lz4: 'LZ4', gz: 'Z', xz: 'LZMA', bz2: 'BZ2' }[suffix];
    const name = made(`missing-${suffix}`, packed);
    const { stdout } = await script(
      `import { open } from 'ringtap';
       await open(${JSON.stringify(name)}).catch((error) => console.log(JSON.stringify(error)));`,
      { env: { [`RINGTAP_LIB${variable}`]: '/nonexistent/library.so' } },
    );
    expect(JSON.parse(stdout)).toMatchObject({
      code: 'RINGTAP_LIBRARY_MISSING',
      hint: expect.stringMatching(/apt-get install (zlib1g|lib\w+)/),
    });
  });
});

describe.each(WRITTEN)('a trace written as .%s', (suffix) => {
  test.each(['pcap', 'pcapng'])('of %s is what its tool unpacks, and Wireshark reads', async (format) => {
    const name = `written.${format}.${suffix}`;
    const stats = await write(name);
    expect(stats).toMatchObject({ packets: PACKETS, bytes: statSync(path(name)).size, queued: 0 });
    await write(`unpacked.${format}`);
    expect(unpack(suffix, path(name)).equals(readFileSync(path(`unpacked.${format}`)))).toBe(true);
    expect(await packets(path(name))).toEqual({ count: PACKETS, error: undefined });
    expect(await run('capinfos', '-Mc', path(name))).toContain(`${PACKETS}`);
  });

  test('has the level that is asked for', async () => {
    const method = TOOLS[suffix];
    await write('fast', `${method}:1`);
    await write('small', `${method}:9`);
    expect(statSync(path('small')).size).toBeLessThan(statSync(path('fast')).size);
    expect(await packets(path('small'))).toEqual({ count: PACKETS, error: undefined });
  });

  test('shows what was written within a second, also when nothing more comes', async () => {
    const name = path(`live.pcap.${suffix}`);
    await using capture = await open('synth:?count=100&sizes=100');
    const writer = await openWriter(name, { linkType: 1 });
    for await (const batch of capture) await writer.write(batch);
    await sleep(1000);
    expect((await packets(name)).count).toBe(100);
    expect(writer.stats()).toMatchObject({ packets: 100, queued: 0 });
    await writer.close();
    expect(await packets(name)).toEqual({ count: 100, error: undefined });
  });

  test('shows what was flushed', async () => {
    const name = path(`flushed.pcap.${suffix}`);
    await using writer = await openWriter(name, { linkType: 1, flushMs: 60_000 });
    for (let round = 1; round <= 3; round++) {
      await using capture = await open('synth:?count=100&sizes=100');
      for await (const batch of capture) await writer.write(batch);
      await writer.flush();
      expect((await packets(name)).count).toBe(100 * round);
    }
  });

  test('goes into a pipe', async () => {
    const program = `
      import { open, openWriter } from 'ringtap';
      const capture = await open(${JSON.stringify(source)});
      const writer = await openWriter('pcap:-', { linkType: 1, compress: '${TOOLS[suffix]}' });
      for await (const batch of capture) await writer.write(batch);
      await writer.close();`;
    const { stderr } = await script(program, {
      prefix: ['sh', '-c', `"$@" | ${TOOLS[suffix]} -dc > ${path('unpacked')}`, 'sh'],
    });
    expect(stderr).toBe('');
    expect(readFileSync(path('unpacked')).equals(plain)).toBe(true);
  });
});

describe('sections', () => {
  const ENTRY = 48; // bytes of the index for each section: native/io/section_index.md
  test.each(['zst', 'lz4'] as const)('of .%s are one frame, and an index beside it', async (suffix) => {
    await write(`sections.pcapng.${suffix}`);
    const index = readFileSync(path(`sections.pcapng.${suffix}.rtidx`));
    expect(index.subarray(0, 8).toString('latin1')).toBe('RTIDX\r\n\x1a');
    const count = Number(index.readBigUInt64LE(48));
    expect(index.length).toBe(64 + ENTRY * count);
    expect(count).toBeGreaterThan(1);
    // Each decompresses alone behind the head, up to its end.
    const trace = readFileSync(path(`sections.pcapng.${suffix}`));
    const whole = unpack(suffix, path(`sections.pcapng.${suffix}`));
    const head = Buffer.from(trace.subarray(0, index.readUInt32LE(40)));
    const isZstd = suffix === 'zst';
    if (isZstd) head[4]! &= ~4; // the checksum at the end is that of the whole
    const end = trace.length - (isZstd ? 4 : 0);
    for (let i = 0; i < count; i++) {
      const at = Number(index.readBigUInt64LE(64 + ENTRY * i));
      const from = Number(index.readBigUInt64LE(64 + ENTRY * i + 8));
      const name = made('section', Buffer.concat([head, trace.subarray(at, end)]));
      expect(unpack(suffix, name).equals(whole.subarray(from))).toBe(true);
    }
  });

  test('as frames have a table that zstd knows', async () => {
    await write('frames.pcap.zst', { method: 'zstd', sections: 'frames' });
    expect(await packets(path('frames.pcap.zst'))).toEqual({ count: PACKETS, error: undefined });
    expect(await run('zstd', '-l', path('frames.pcap.zst'))).toMatch(/\n\s*[2-9]\s+1 /); // frames, skippable ones
    const bytes = readFileSync(path('frames.pcap.zst'));
    expect(bytes.readUInt32LE(bytes.length - 4)).toBe(0x8f92eab1);
    expect(existsSync(path('frames.pcap.zst.rtidx'))).toBe(false);
  });

  test('are left out where nobody wants them, and an index of an older trace goes', async () => {
    await write('again.pcap.zst');
    expect(existsSync(path('again.pcap.zst.rtidx'))).toBe(true);
    await write('again.pcap.zst', { method: 'zstd', sections: 'none' });
    expect(existsSync(path('again.pcap.zst.rtidx'))).toBe(false);
  });

  test('never overwrite a file that is no index', async () => {
    made('mine.pcap.zst.rtidx', Buffer.from('my own notes'));
    await write('mine.pcap.zst');
    expect(readFileSync(path('mine.pcap.zst.rtidx'), 'utf8')).toBe('my own notes');
    expect(await packets(path('mine.pcap.zst'))).toEqual({ count: PACKETS, error: undefined });
  });
});

describe('what cannot be', () => {
  test.each([
    ['brotli', 'RINGTAP_BAD_OPTION', /brotli/],
    ['zstd:20', 'RINGTAP_BAD_OPTION', /from 1 to 19/],
    ['zstd:x', 'RINGTAP_BAD_OPTION', /level/],
    [{ method: 'gzip', sections: 'index' }, 'RINGTAP_BAD_OPTION', /gzip has no sections/],
    [{ method: 'lz4', sections: 'frames' }, 'RINGTAP_BAD_OPTION', /zstd's/],
    [{ method: 'zstd', speed: 3 }, 'RINGTAP_BAD_OPTION', /speed/],
    [7, 'RINGTAP_BAD_OPTION', /text or an object/],
  ])('as compress: %j is refused before there is a file', async (compress, code, text) => {
    const error = await failure(() => openWriter(path('refused.pcap'), { compress: compress as string }));
    expect(error).toMatchObject({ code });
    expect(error.message).toMatch(text);
    expect(existsSync(path('refused.pcap'))).toBe(false);
  });

  test('as a name that says what cannot be written is refused, or written plain where that is said', async () => {
    const error = await failure(() => openWriter(path('x.pcap.xz')));
    expect(error).toMatchObject({ code: 'RINGTAP_UNSUPPORTED', hint: expect.stringContaining('.zst') });
    await write('x.pcap.xz', 'none');
    expect(readFileSync(path('x.pcap.xz')).equals(plain)).toBe(true);
  });

  test('as a window beyond what is allowed is refused, and read where it is allowed', async () => {
    const streamed = made('long.zst', pack('zst', plain, '--long=27', '-q'));
    const refused = await failure(() => open(`file:${streamed}`));
    expect(refused).toMatchObject({
      code: 'RINGTAP_UNSUPPORTED',
      hint: expect.stringContaining('windowBytes=134217728'),
    });
    expect(await packets(`file:${streamed}?windowBytes=134217728`)).toEqual({ count: PACKETS, error: undefined });
  });

  test.each(suffixes)('as a bomb of .%s takes no memory', async (suffix) => {
    const zeros = execFileSync('sh', ['-c', `head -c 256M /dev/zero | ${TOOLS[suffix]} -c -1`], {
      maxBuffer: 2 ** 30,
    });
    // A block of a type that nobody knows, of which all but the length is zeros.
    const block = Buffer.alloc(8);
    block.writeUInt32LE(0x0bad0bad, 0);
    block.writeUInt32LE(2 ** 28 + 12, 4);
    await write('head.pcapng', 'none');
    const head = Buffer.concat([readFileSync(path('head.pcapng')), block]);
    const bomb = made(`bomb-${suffix}`, Buffer.concat([pack(suffix, head), zeros]));
    const before = process.memoryUsage().rss;
    let most = 0;
    await using capture = await open(bomb);
    let count = 0;
    const looking = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 10);
    try {
      for await (const batch of capture) count += batch.length;
      expect.unreachable('it ends in the middle');
    } catch (error) {
      expect(error).toMatchObject({ code: 'RINGTAP_FILE_TRUNCATED' });
    } finally {
      clearInterval(looking);
    }
    expect(count).toBe(PACKETS);
    expect(Math.max(most, process.memoryUsage().rss) - before).toBeLessThan(64 * 2 ** 20);
  });
});

test('closing a compressed pipe that says nothing ends at once', async () => {
  execFileSync('mkfifo', [path('silent')]);
  const half = pack('zst', plain).subarray(0, 200_000);
  writeFileSync(path('half'), half);
  const child = spawn('sh', ['-c', `(cat ${path('half')}; sleep 60) > ${path('silent')}`]);
  const capture = await open(`file:${path('silent')}`);
  let count = 0;
  const reading = (async () => {
    for await (const batch of capture) count += batch.length;
  })();
  while (count < 100) await sleep(5);
  await sleep(50);
  const begun = performance.now();
  await capture.close();
  await within(reading, 'the loop to end');
  expect(performance.now() - begun).toBeLessThan(500);
  child.kill();
});

describe.each(WRITTEN)('a byte that changes in a trace written as .%s', (suffix) => {
  test('is found, wherever it lies', async () => {
    await write(`whole.pcap.${suffix}`);
    const whole = readFileSync(path(`whole.pcap.${suffix}`));
    for (let i = 1; i <= 40; i++) {
      const bytes = Buffer.from(whole);
      const at = Math.floor((whole.length * i) / 41);
      bytes[at]! ^= 1 << (i % 8);
      const { count, error } = await packets(made('changed', bytes));
      expect(error?.code, `byte ${at} of ${whole.length}`).toMatch(/^RINGTAP_FILE_/);
      expect(count).toBeLessThanOrEqual(PACKETS);
    }
  });
});
