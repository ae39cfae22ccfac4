import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { explain, open, type Plan } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { count, failure } from '../support/packets.js';
import { withoutPfring } from '../support/standin.js';
import { ethernet, pcapFile } from '../support/trace.js';

const path = temporaryFolder();
const trace = path('trace.pcap');
writeFileSync(trace, pcapFile([{ data: ethernet(0x0800, Buffer.alloc(46)) }]));

/** The methods that a URI leads to, in order. */
const methods = async (uri: string) => (await explain(uri)).candidates.map(({ backend }) => backend);

describe('a URI', () => {
  test.each([
    ['ring:nosuch0', 'afpacket'],
    ['int:nosuch0', 'afpacket'],
    ['xdp:nosuch0', 'afxdp'],
    ['pcapint:nosuch0', 'pcap'],
    ['dpdkvdev:99', 'dpdk'],
    ['AFPACKET:nosuch0', 'afpacket'],
  ])('%s means %s:', async (uri, backend) => {
    expect((await methods(uri))[0]).toBe(backend);
  });

  test.each(['file:%', 'pcapfile:%', 'erf:%?format=auto'])('%s opens a trace', async (uri) => {
    await using capture = await open(uri.replace('%', trace));
    expect(capture.backend).toBe('file');
    expect(await count(capture)).toBe(1);
  });

  test('erf:PATH says that the trace is ERF, and is believed', async () => {
    await using capture = await open(`ERF:${trace}`);
    expect(capture.plan.options.format).toBe('erf');
    expect(await failure(() => count(capture))).toMatchObject({ code: 'RINGTAP_FILE_CORRUPT', position: 0 });
  });

  test('that is a bare path is a trace', async () => {
    await using capture = await open(trace);
    expect(capture.backend).toBe('file');
  });

  test('that names an interface is no path because a folder has that name', async () => {
    mkdirSync(path('folder/lo'), { recursive: true });
    const { stdout, stderr } = await script(
      `process.chdir(process.argv[1]);
       const { explain } = await import('ringtap');
       console.log((await explain('lo')).candidates.map(({ backend }) => backend).join());`,
      { args: [path('folder')] },
    );
    expect({ stdout, stderr }).toEqual({ stdout: 'afpacket,pcap\n', stderr: '' });
  });

  test('that is a bare path is taken as it stands, percent signs and question marks included', async () => {
    const odd = path('a%20b?c=d.pcap');
    writeFileSync(odd, pcapFile([]));
    await using capture = await open(odd);
    expect(capture.plan.target).toBe(odd);
  });

  test('with percent-encoding is decoded', async () => {
    const odd = path('50% & more?.pcap');
    writeFileSync(odd, pcapFile([]));
    await using capture = await open(`file:${encodeURIComponent(odd)}`);
    expect(capture.plan.target).toBe(odd);
  });

  test('keeps a plus sign in a query', async () => {
    const explained = await explain('synth:?filter=udp[4]+4>100');
    expect(explained.error).toBeNull();
    expect(explained.filter).toBe('user');
  });

  test('whose path contains a colon is a path when it exists', async () => {
    mkdirSync(path('x'));
    const odd = join(path('x'), 'foo:bar.pcap');
    writeFileSync(odd, pcapFile([]));
    await using capture = await open(odd);
    expect(capture.backend).toBe('file');
  });

  test('that is a bare word is an interface, on the best passive method', async () => {
    expect(await methods('nosuch0')).toEqual(['afpacket']);
    const error = await failure(() => open('nosuch0'));
    expect(['RINGTAP_NO_INTERFACE', 'RINGTAP_NO_PERMISSION']).toContain(error.code);
  });

  test('that looks like a trace but is not there is a missing file', async () => {
    expect((await failure(() => open('not-there.pcapng'))).code).toBe('RINGTAP_FILE_OPEN');
  });

  test('that is a dash is standard input', async () => {
    const { stdout } = await script(`import { explain } from 'ringtap';
      const { candidates, error } = await explain('-');
      console.log(candidates[0].backend, error.code, error.message);`);
    expect(stdout).toMatch(/^file RINGTAP_FILE_FORMAT standard input: /);
  });

  test('with an unknown scheme is refused with the nearest', async () => {
    const error = await failure(() => open('afpaket:eth0'));
    expect(error).toMatchObject({ code: 'RINGTAP_UNKNOWN_SCHEME', uri: 'afpaket:eth0' });
    expect(error.message).toContain('"afpaket:"');
    expect(error.hint).toContain('Did you mean "afpacket:"');
  });

  test.each(['', 'afpacket:', 'pcap:?snaplen=64', 'file:', 'auto:', 'afxdp:', 'rpcap:', 'a\0b', 'file:50%'])(
    '%j is refused',
    async (uri) => {
      expect((await failure(() => open(uri))).code).toBe('RINGTAP_BAD_URI');
    },
  );

  test.each(['synth:count=5', 'synth:eth0'])(
    '%s is refused: synth: takes no target, and without a count it never ends',
    async (uri) => {
      const error = await failure(() => open(uri));
      expect(error.code).toBe('RINGTAP_BAD_URI');
      expect(error.message).toContain(uri);
    },
  );

  test('that is not a string is refused', async () => {
    for (const uri of [undefined, null, 5, {}]) {
      expect((await failure(() => open(uri as unknown as string))).code).toBe('RINGTAP_BAD_URI');
    }
  });

  test('with a parameter given twice is refused', async () => {
    const error = await failure(() => open('synth:?count=1&seed=2&count=3'));
    expect(error.code).toBe('RINGTAP_BAD_URI');
    expect(error.message).toContain('"count" is given twice');
  });

  test('falls back from a method that is not there, and says why', async () => {
    const { stdout } = await script(
      "import { explain } from 'ringtap'; console.log(JSON.stringify(await explain('pfring:nosuch0')));",
      { env: withoutPfring },
    );
    const { candidates } = JSON.parse(stdout) as Plan;
    expect(candidates[0]).toMatchObject({
      backend: 'pfring',
      chosen: false,
      code: 'RINGTAP_BACKEND_MISSING',
    });
    expect(candidates[0]!.reason).toBeTruthy();
    expect(candidates[0]!.fix).toBeTruthy();
    expect(candidates[1]!.backend).toBe('afpacket');
  });

  test.each(['rpcap:host/eth0', 'pfring:nosuch0?fallback=false'])('%s does not fall back', async (uri) => {
    const { stdout } = await script(
      `import { explain, open } from 'ringtap';
       const { candidates } = await explain(process.argv[1]);
       await open(process.argv[1]).catch(({ code }) => console.log(candidates.length, code));`,
      { args: [uri], env: withoutPfring },
    );
    expect(stdout.trim()).toBe('1 RINGTAP_BACKEND_MISSING');
  });
});
