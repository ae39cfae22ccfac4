// Errors and objects as people meet them: names that were nearly right, values out of range, what is printed.
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect, stripVTControlCharacters } from 'node:util';
import { LINKTYPE, open, openWriter } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { root, script } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { failure, readAll } from '../support/packets.js';
import { withoutPfring } from '../support/standin.js';

const path = temporaryFolder();

describe('a misspelt name', () => {
  test.each([
    ['zynth:', 'synth:'],
    ['afpaket:lo', 'afpacket:'],
    ['AFXPD:lo', 'afxdp:'],
    ['pfrin:lo', 'pfring:'],
  ])('of a scheme, %s, brings the nearest one', async (uri, near) => {
    expect((await failure(() => open(uri))).hint).toMatch(new RegExp(`^Did you mean "${near}"\\? Known schemes: `));
  });

  test.each(['foo:', 'telnet:lo', 'xyz:a'])('of a scheme that is near none, %s, brings no guess', async (uri) => {
    expect((await failure(() => open(uri))).hint).toMatch(/^Known schemes: /);
  });

  test.each([
    ['snaplenn', 'snaplen'],
    ['snap_len', 'snaplen'],
    ['batch-size', 'batchSize'],
    ['BATCHSIZE', 'batchSize'],
    ['buffer', 'bufferBytes'],
    ['drop', 'dropEvery'],
    ['bufferSize', 'bufferBytes'],
  ])('of an option, %s, brings the nearest one, by letters or as its beginning', async (name, near) => {
    expect((await failure(() => open(`synth:?${name}=1`))).hint).toMatch(new RegExp(`^Did you mean "${near}"\\?`));
  });

  test.each(['colour', 'x', 'zzzzzzzz', ''])(
    'of an option that is near none, "%s", brings the list alone',
    async (name) => {
      expect((await failure(() => open(`synth:?${name}=1`))).hint).toMatch(/^Options of synth: filter, snaplen, /);
    },
  );

  test('is not answered with an option that a URI cannot have', async () => {
    expect((await failure(() => open('synth:?sigmal=1'))).hint).not.toContain('signal');
  });
});

describe('a message', () => {
  test.each([
    ['synth:?batchSize=0', 'synth:?batchSize=0: option batchSize must be'],
    ['afpacket:', 'afpacket: an interface is missing after "afpacket:"'],
    ['file:', 'file: a path is missing after "file:"'],
    ['synth:x', 'synth:x: "x" cannot follow "synth:", but ?option=value can'],
  ])('about %s has one colon behind the URI', async (uri, begins) => {
    expect((await failure(() => open(uri))).message).toMatch(new RegExp(`^${begins.replace(/[?]/g, '\\?')}`));
  });

  test.each(['synth:', 'synth:?seed=5', 'file:examples/sample.pcap'])(
    'about a filter names the URI %s that it was for, too',
    async (uri) => {
      const error = await failure(() => open(uri, { filter: 'udp prot 5' }));
      expect(error).toMatchObject({ code: 'RINGTAP_BAD_FILTER', position: 4, uri });
      const [first, , mark] = error.message.split('\n');
      expect(first).toMatch(/: filter: .*syntax error/);
      expect(first!.startsWith(uri)).toBe(true);
      expect(mark).toBe('      ^');
    },
  );

  test('about an option says what it is for and what it takes', async () => {
    const { hint } = await failure(() => open('synth:?batchSize=0'));
    expect(hint).toMatch(/^batchSize: The most packets in one batch.* \(1 to 4096 packets; default 256\)$/);
    expect((await failure(() => open('afpacket:lo?vlan=off'))).hint).toMatch(
      /^vlan: .*\(one of inline, metadata; default inline\)$/,
    );
    expect((await failure(() => open('synth:', null as unknown as object))).hint).toContain('{ name: value }');
    expect((await failure(() => open('synth:?signal=1'))).hint).toContain('ringtap help uri');
    expect((await failure(() => open('afxdp:lo?queues=x'))).hint).toMatch(/^queues: RX queues .*\(default all\)$/);
  });
});

test('a fallback warns of options that the other method does not have', async () => {
  const { stdout } = await script(
    `import { open } from 'ringtap';
     process.on('warning', ({ code, message }) => console.log(JSON.stringify([code, message])));
     const capture = await open('pfring:lo?appName=x&watermark=5').catch(({ code }) => code);
     if (typeof capture === 'string') console.log(JSON.stringify([capture]));
     else await capture.close();`,
    { env: { ...withoutPfring, NODE_NO_WARNINGS: '1' } },
  );
  const [code, message] = JSON.parse(stdout);
  if (code === 'RINGTAP_NO_PERMISSION') return;
  expect(code).toBe('RINGTAP_FALLBACK');
  expect(message).toMatch(
    /: using afpacket: because .*; ignored: afpacket has no option appName, has no option watermark$/,
  );
});

describe('a hint about a file', () => {
  mkdirSync(path('folder'));
  writeFileSync(path('plain'), '');
  symlinkSync(path('circle'), path('circle'));
  const cases: [string, string, number, RegExp][] = [
    ['in a folder that is not there', 'none/x.pcap', 2, /Make the folder/],
    ['below a file', 'plain/x.pcap', 20, /Make the folder/],
    ['that is a folder', 'folder', 21, /name a file in it/],
    ['that is a circle of links', 'circle', 40, /go round in a circle/],
    ['with too long a name', 'x'.repeat(300), 36, /shorter name/],
  ];

  test.each(cases)('to write %s fits what the system refused', async (_, name, errno, hint) => {
    const error = await failure(() => openWriter(`pcap:${path(name)}`, { linkType: LINKTYPE.ETHERNET }));
    expect(error).toMatchObject({ code: 'RINGTAP_FILE_WRITE', errno, hint: expect.stringMatching(hint) });
  });

  test('on a device that is full speaks of room, and not of rights', async () => {
    const error = await failure(async () => {
      await using writer = await openWriter('pcap:/dev/full', { linkType: LINKTYPE.ETHERNET });
      for await (const batch of await open('synth:?count=3')) await writer.write(batch);
      await writer.flush();
    });
    expect(error).toMatchObject({ code: 'RINGTAP_FILE_WRITE', errno: 28 });
    expect(error.hint).toMatch(/is full: make room \(df -h, df -i\)/);
    expect(error.hint).not.toMatch(/permission|right/);
  });

  test('beyond the limit of a process names that', async () => {
    const { stdout } = await script(
      `import { open, openWriter } from 'ringtap';
       const writer = await openWriter(process.argv[1]);
       try { for await (const batch of await open('synth:?count=5000')) await writer.write(batch); await writer.flush(); }
       catch ({ errno, hint }) { console.log(errno, hint); }`,
      { args: [path('limited.pcap')], prefix: ['sh', '-c', 'ulimit -f 8 && exec "$@"', 'sh'] },
    );
    expect(stdout).toMatch(/^27 .*ulimit -f/);
  });

  test('of a pipe whose reader has gone says so', async () => {
    const { stdout } = await script(
      `import { spawn } from 'node:child_process';
       const source = "import { open, openWriter } from 'ringtap';" +
         "const writer = await openWriter('pcap:-');" +
         "try { for await (const batch of await open('synth:?count=500000')) await writer.write(batch); await writer.flush(); }" +
         "catch ({ errno, hint }) { console.error(errno, hint); }";
       const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'pipe'] });
       child.stdout.once('data', () => child.stdout.destroy());
       for await (const text of child.stderr) process.stdout.write(text);`,
    );
    expect(stdout).toMatch(/^32 Whoever read it has ended/);
  });

  test.each([
    ['that is not there', 'missing.pcap', 2, /no such file here/],
    ['below a file', 'plain/x.pcap', 20, /is a file, no folder/],
    ['that is a circle of links', 'circle', 40, /go round in a circle/],
  ] as const)('to read %s fits, too', async (_, name, errno, hint) => {
    const error = await failure(() => open(`file:${path(name)}`));
    expect(error).toMatchObject({ code: 'RINGTAP_FILE_OPEN', errno, hint: expect.stringMatching(hint) });
  });
});

test('every hint of an errno stands in the manual', () => {
  const table: { code: string; byErrno?: Record<string, string> }[] = JSON.parse(
    readFileSync(join(root, 'native/core/errors.json'), 'utf8'),
  );
  const manual = readFileSync(join(root, 'docs/errors.md'), 'utf8').split('\n');
  for (const { code, byErrno = {} } of table) {
    for (const [errno, hint] of Object.entries(byErrno)) {
      const row = manual.find((line) => line.startsWith(`| \`RINGTAP_${code}\` | `) && line.includes(hint));
      expect(row).toMatch(new RegExp(`\\b${errno}\\b`));
    }
  }
});

describe('openWriter()', () => {
  test.each([[undefined], [null], [7], [{}], [''], ['pcap:'], ['file:'], ['https://host/x']])(
    'refuses %j in words',
    async (uri) => {
      const error = await failure(() => openWriter(uri as string));
      expect(error.code).toBe('RINGTAP_BAD_URI');
      expect(error.hint).toBeTruthy();
    },
  );

  test('writes what open() reads by the same file: URI', async () => {
    const uri = `file:${path('with space%.pcapng').replace('%', '%25').replace(' ', '%20')}`;
    await using writer = await openWriter(uri, { linkType: LINKTYPE.ETHERNET });
    for await (const batch of await open('synth:?count=3')) await writer.write(batch);
    await writer.close();
    expect(existsSync(path('with space%.pcapng'))).toBe(true);
    await using capture = await open(uri);
    expect(await readAll(capture)).toHaveLength(3);
  });

  test('takes no options in a file: URI', async () => {
    expect(await failure(() => openWriter(`file:${path('x.pcap')}?snaplen=5`))).toMatchObject({
      code: 'RINGTAP_UNKNOWN_OPTION',
      hint: expect.stringContaining('options object'),
    });
    expect(existsSync(path('x.pcap'))).toBe(false);
  });

  test('writes pcapng by the ending in capitals, too', async () => {
    await using writer = await openWriter(path('LOUD.PCAPNG'), { comment: 'only pcapng has one' });
    await writer.close();
  });

  test('does not make a file of what open() captures from', async () => {
    expect(await failure(() => openWriter('pcap:lo'))).toMatchObject({
      code: 'RINGTAP_BAD_URI',
      hint: expect.stringContaining('pcap:./lo'),
    });
    expect(existsSync('lo')).toBe(false);
  });
});

describe('console.log()', () => {
  const shown = (value: unknown) => stripVTControlCharacters(inspect(value));

  test('of a batch says what is in it, and of a packet its time, lengths and bytes', async () => {
    await using capture = await open('synth:?count=5');
    for await (const batch of capture) {
      const text = shown(batch);
      expect(text).toMatch(/^Batch \{/);
      expect(text.split('\n').length).toBeLessThan(12);
      for (const fact of ['length: 5', "linkType: 'Ethernet'", "captured: '320 bytes'", 'lease: 1', 'held: false']) {
        expect(text).toContain(fact);
      }
      expect(text).toContain("first: '2020-09-13T12:26:40.000000000Z'");
      expect(shown(batch.copy())).toContain('owned: true');
      for (const packet of batch) {
        expect(shown(packet)).toMatch(
          /^Packet \{\n {2}index: \d,\n {2}time: '2020-.*Z',\n.*wirelen: 64,\n.*<Buffer 02 /s,
        );
        expect(shown({ packet })).toContain('Packet {');
      }
      batch.release();
      expect([batch, ...batch].map(shown)).toEqual(['Batch { released }']);
    }
  });

  test('of a packet whose batch has gone says so, and reads nothing', async () => {
    await using capture = await open('synth:?count=5');
    for await (const batch of capture) {
      const [packet] = batch;
      batch.release();
      expect(shown(packet)).toBe('Packet { released }');
    }
  });
});
