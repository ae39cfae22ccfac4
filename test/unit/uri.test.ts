import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Explanation, explain, open } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { candidatesOf, planOf, refusalOf } from '../support/explain.js';
import { temporaryFolder } from '../support/folder.js';
import { count, failure } from '../support/packets.js';
import { withoutPfring } from '../support/standin.js';
import { ethernet, pcapFile } from '../support/trace.js';

const path = temporaryFolder();
const trace = path('trace.pcap');
writeFileSync(trace, pcapFile([{ data: ethernet(0x0800, Buffer.alloc(46)) }]));

/** The methods that a URI leads to, in order. */
const methods = async (uri: string) => (await candidatesOf(uri)).map(({ backend }) => backend);

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
       const { plan, candidates } = await explain('lo');
       console.log((plan?.candidates ?? candidates).map(({ backend }) => backend).join());`,
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
    expect((await planOf('synth:?filter=udp[4]+4>100')).filter).toBe('user');
  });

  test('whose path contains a colon is a path when it exists', async () => {
    mkdirSync(path('x'));
    const odd = join(path('x'), 'foo:bar.pcap');
    writeFileSync(odd, pcapFile([]));
    await using capture = await open(odd);
    expect(capture.backend).toBe('file');
  });

  test('that is a bare word is an interface, on the best passive method', async () => {
    // And then on libpcap, which has devices of its own.
    expect(['afpacket', 'afpacket,pcap']).toContain((await methods('nosuch0')).join());
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

  test.each([
    'file:x%00y',
    'afpacket:lo%00x',
    'afxdp:lo%00x',
    'pcap:lo%00x',
    'pfring:lo%00x',
    'dpdk:net_null0%00x',
    'auto:lo%00x',
    'lo?snaplen=64%00',
    'synth:?sizes=64%00-128',
    'synth:?count%00=5',
    'synth:?filter=udp%00 or tcp',
  ])('%s is refused: what is opened would not be what was checked', async (uri) => {
    for (const call of [open, explain]) {
      const error = await failure(() => call(uri));
      expect(error.code).toBe('RINGTAP_BAD_URI');
      expect(error.message).toContain('NUL');
    }
  });

  test('with a NUL is refused by native code, too, which trusts nobody to have looked', async () => {
    const { stdout } = await script(
      `import { createRequire } from 'node:module';
       const addon = createRequire(import.meta.url)('./build/addon/Release/ringtap.node');
       const request = { number: 1, backend: 'synth', uri: 'synth:', target: '', options: {}, purpose: 'explain', batchSize: 1 };
       for (const odd of [{ target: 'x\\0y' }, { options: { sizes: '64\\0-128' } }]) {
         await addon.open({ ...request, ...odd }).catch(({ code, message }) => console.log(code, message));
       }`,
    );
    expect(stdout).toBe('RINGTAP_BAD_URI the target contains a NUL\nRINGTAP_BAD_OPTION option sizes contains a NUL\n');
  });

  test('with half of a surrogate pair is refused: another file would be opened', async () => {
    for (const uri of ['file:\ud800', '\udc00/trace.pcap', 'synth:?sizes=\ud800']) {
      expect((await failure(() => open(uri))).code).toBe('RINGTAP_BAD_URI');
    }
  });

  test('that is too long is refused, without being repeated', async () => {
    const long = 'x'.repeat(1 << 20);
    for (const uri of [long, `file:${long}`, `synth:?sizes=${long}`, `synth:?${long}=1`, `${long}:x`, `/${long}`]) {
      const error = await failure(() => open(uri));
      expect(error.code).toBe('RINGTAP_BAD_URI');
      expect(error.message.length).toBeLessThan(1000);
      expect(error.uri).toBe(uri);
    }
    expect((await failure(() => open(`file:/${'x/'.repeat(2048)}`))).code).toBe('RINGTAP_BAD_URI');
    expect((await failure(() => open(`file:/${'x/'.repeat(2047)}x`))).code).toBe('RINGTAP_FILE_OPEN');
  });

  test.each([`${trace}/x`, `${trace}/x.pcap`, 'x'.repeat(256), `${'x'.repeat(256)}.pcap`, path('a/b')])(
    '%j, which cannot be looked at as a path, fails like any other',
    async (uri) => {
      const { code } = await failure(() => open(uri));
      expect(['RINGTAP_FILE_OPEN', 'RINGTAP_NO_INTERFACE', 'RINGTAP_NO_PERMISSION']).toContain(code);
      expect((await refusalOf(uri)).error.code).toBe(code);
    },
  );

  test('that is a bare path in a folder without rights fails like any other', async () => {
    mkdirSync(path('locked/inside'), { recursive: true });
    writeFileSync(path('locked/inside/trace.pcap'), '');
    chmodSync(path('.'), 0o755);
    chmodSync(path('locked'), 0o700);
    const user = process.getuid!() === 0 ? ['setpriv', '--reuid=65534', '--clear-groups', '--'] : [];
    if (user.length === 0) chmodSync(path('locked'), 0o000);
    const { stdout, stderr } = await script(
      `const { open } = await import('ringtap');
       for (const uri of process.argv.slice(1)) await open(uri).catch(({ name, code }) => console.log(name, code));`,
      { args: [path('locked/inside/trace.pcap'), path('locked/inside')], prefix: user },
    );
    chmodSync(path('locked'), 0o700);
    expect({ stdout, stderr }).toEqual({ stdout: 'CaptureError RINGTAP_FILE_OPEN\n'.repeat(2), stderr: '' });
  });

  test('of a device has the name of the device as its target, whatever stands in it', async () => {
    const { stdout, stderr } = await script(
      `import { parseUri, uriOf } from './dist/uri/uri.js';
       let seed = 1;
       const random = (below) => (seed = (seed * 48271) % 0x7fffffff) % below;
       const pieces = [...'%?#&=@,:;+/\\\\ .-_~!*()[]{}<>|^"\\'\`$', '%00', '%3F', '//', '\\x1b[31m', '\\x9b', '\\n', '\\u202e', 'é', '😀', 'e'];
       const wrong = [];
       for (let i = 0; i < 20_000; i++) {
         const name = Array.from({ length: 1 + random(6) }, () => pieces[random(pieces.length)]).join('');
         const uri = uriOf('afpacket', name);
         if (parseUri(uri).target !== name || parseUri(uri).params.size > 0 || /[\\s\\p{Cc}]/u.test(uri)) wrong.push([name, uri]);
       }
       console.log(JSON.stringify(wrong.slice(0, 9)));`,
    );
    expect({ stdout, stderr }).toEqual({ stdout: '[]\n', stderr: '' });
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
    const { candidates } = JSON.parse(stdout) as Explanation & { ok: false };
    expect(candidates[0]).toMatchObject({
      backend: 'pfring',
      chosen: false,
      code: 'RINGTAP_BACKEND_MISSING',
    });
    expect(candidates[0]!.reason).toBeTruthy();
    expect(candidates[0]!.hint).toBeTruthy();
    expect(candidates[1]!.backend).toBe('afpacket');
  });

  test.each(['pfring:nosuch0?fallback=false'])('%s does not fall back', async (uri) => {
    const { stdout } = await script(
      `import { explain, open } from 'ringtap';
       const { candidates } = await explain(process.argv[1]);
       await open(process.argv[1]).catch(({ code }) => console.log(candidates.length, code));`,
      { args: [uri], env: withoutPfring },
    );
    expect(stdout.trim()).toBe('1 RINGTAP_BACKEND_MISSING');
  });
});
