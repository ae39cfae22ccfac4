import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CaptureError, open } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { root } from '../support/child.js';
import { failure } from '../support/packets.js';

const table: { code: string }[] = JSON.parse(readFileSync(join(root, 'native/core/errors.json'), 'utf8'));
const codes = table.map(({ code }) => `RINGTAP_${code}`);
const manual = readFileSync(join(root, 'docs/errors.md'), 'utf8');

describe('a CaptureError', () => {
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

  test('has a table of codes to come from', () => expect(codes.length).toBeGreaterThan(15));

  test.each(codes)('%s is documented', (code) => {
    expect(manual).toMatch(new RegExp(`^\\| \`${code}\` \\| .{10,} \\| .{10,} \\|$`, 'm'));
  });

  test('has no code that is documented but does not exist', () => {
    const documented = [...manual.matchAll(/^\| `(RINGTAP_[A-Z_]+)`/gm)].map(([, code]) => code);
    expect(documented.sort()).toEqual(codes.sort());
  });
});
