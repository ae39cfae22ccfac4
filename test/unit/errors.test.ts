import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CaptureError, explain, open } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { root, script } from '../support/child.js';
import { failure } from '../support/packets.js';
import { withoutPfring } from '../support/standin.js';

const table: { code: string }[] = JSON.parse(readFileSync(join(root, 'native/core/errors.json'), 'utf8'));
const codes = table.map(({ code }) => `RINGTAP_${code}`);
const manual = readFileSync(join(root, 'docs/errors.md'), 'utf8');

describe('a CaptureError', () => {
  test.each([
    'rpcap://h/x?auth=capture:hunter2',
    'rpcap://h/x?snaplen=100&auth=capture:any hunter2&bogus=1',
    'rpcap://h/x?bogus=1&auth=capture:hunter2',
    'rpcap://h/x?auth=capture:hunter2&auth=%',
    'rpcap://capture:hunter2@h/x?bogus=1',
    'rpcap://capture:hunter2@h/x',
    'rpcap:?auth=hunter2',
    'rpcaps://h/x?tls={key:hunter2}',
    'rpcaps://h/x?tls.key=hunter2',
    'tcp://h:1?tlsKey=hunter2',
    'tcp://h:1?tls=truehunter2',
    'nothing://h/x?password=hunter2',
  ])('repeats no secret of %s', async (uri) => {
    const error = await failure(() => open(uri));
    expect(error).toBeInstanceOf(CaptureError);
    expect(error.message).toMatch(/: .*[\w"]$/);
    expect(`${error.stack}${error.hint}${JSON.stringify(error)}`).not.toContain('hunter2');
    const explained = await explain(uri).catch((error: unknown) => error);
    expect(JSON.stringify(explained)).not.toContain('hunter2');
  });

  test('has its URI whole where nothing is secret in it', async () => {
    const uri = 'rpcap://h/x?tls=true&bogus=1';
    const error = await failure(() => open(uri));
    expect(error).toMatchObject({ uri, message: `${uri}: rpcap has no option "bogus"` });
  });

  test('says what and where, how to fix it, and carries the URI and the backend', async () => {
    const error = await failure(() => open('synth:?count=1&batchSize=0'));
    expect(error).toBeInstanceOf(CaptureError);
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe('CaptureError');
    expect(error.uri).toBe('synth:?count=1&batchSize=0');
    expect(error.message).toMatch(/^synth:\?count=1&batchSize=0: option batchSize/);
    expect(error.hint.length).toBeGreaterThan(10);
    expect(error.stack).toContain('CaptureError');
  });

  test('from native code carries the system call, its errno and the backend', async () => {
    const error = await failure(() => open('file:/nonexistent/trace.pcap'));
    expect(error).toMatchObject({
      code: 'RINGTAP_FILE_OPEN',
      syscall: 'open',
      errno: 2,
      backend: 'file',
      uri: 'file:/nonexistent/trace.pcap',
    });
    expect(error.message).toContain('/nonexistent/trace.pcap');
    expect(error.message).toContain('No such file');
    expect(error.hint).toBeTruthy();
  });

  test('is JSON with its message first, and without what it came of', async () => {
    const error = await failure(() => open('file:/nonexistent/trace.pcap'));
    const { message, hint } = error;
    expect(JSON.stringify(error)).toBe(
      JSON.stringify({
        message,
        name: 'CaptureError',
        code: 'RINGTAP_FILE_OPEN',
        backend: 'file',
        uri: 'file:/nonexistent/trace.pcap',
        syscall: 'open',
        errno: 2,
        hint,
      }),
    );
    const bare = new CaptureError('RINGTAP_BUSY', 'taken', { position: 3, cause: new Error('why') });
    expect(JSON.parse(JSON.stringify({ bare })).bare).toEqual({
      message: 'taken',
      name: 'CaptureError',
      code: 'RINGTAP_BUSY',
      hint: bare.hint,
      position: 3,
    });
  });

  test('shows no terminal what it would obey, and no reader a line of its own', async () => {
    const odd = 'x\x1b[31m\x07\x9b31m\u202e\r\nringtap: all is well';
    for (const uri of [
      `file:/nonexistent/${odd}`,
      `/nonexistent/${odd}`,
      `synth:?${odd}=1`,
      `synth:?seed=${odd}`,
      odd,
    ]) {
      const error = await failure(() => open(uri));
      const text = `${error.message}${error.hint}`;
      expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(text).toContain('x\\x1b[31m\\x07\\x9b31m\\u{202e}\\r\\nringtap: all is well');
      expect(error.stack).toContain(error.message);
      expect(error.uri).toBe(uri);
    }
  });

  test('marks a filter on lines of their own, and shortens it', async () => {
    const error = await failure(() => open('synth:', { filter: `udp\x1b[31m ${'x '.repeat(500_000)}` }));
    expect(error.code).toBe('RINGTAP_BAD_FILTER');
    expect(error.message).not.toMatch(/(?!\n)\p{Cc}/u);
    expect(error.message.length).toBeLessThan(10_000);
  });

  test('in a warning is escaped, too', async () => {
    const { stdout } = await script(
      `import { open } from 'ringtap';
       process.on('warning', ({ message }) => console.log(JSON.stringify(message)));
       await open('pfring:lo?filter=udp%20or%20tcp&appName=\x1b[31m').then((capture) => capture.close(), () => {});`,
      { env: withoutPfring },
    );
    expect(stdout).not.toContain('\\u001b');
    if (process.getuid!() === 0) expect(stdout).toContain('appName=\\\\x1b[31m: using afpacket');
  });

  test('has a table of codes to come from', () => expect(codes.length).toBeGreaterThan(15));

  test.each(codes)('%s is documented', (code) => {
    expect(manual).toMatch(new RegExp(`^\\| \`${code}\` \\| .{10,} \\| .{10,} \\|$`, 'm'));
  });

  test('has no code that is documented but does not exist', () => {
    const documented = new Set([...manual.matchAll(/^\| `(RINGTAP_[A-Z_]+)`/gm)].map(([, code]) => code));
    expect([...documented].sort()).toEqual(codes.sort());
  });
});
