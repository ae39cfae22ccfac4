// `ringtap read` against `tcpdump -nn -S`, line by line. docs: the summary of lib/cli/summary/summary.ts.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lines, ringtap, tcpdump } from '../support/cli.js';
import { tcpdumpCases } from '../support/summary-cases.js';
import { cuts, LinkType, type TracePacket, writePcap } from '../support/trace.js';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringtap-read-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Both programs' lines for the same trace; tcpdump's blank before a hex dump is cut off. */
async function both(packets: readonly TracePacket[], linkType: number, ...flags: string[]) {
  const path = join(folder, 'trace.pcap');
  writePcap(path, packets, linkType);
  const ours = await ringtap('read', path, ...flags);
  expect(ours.stderr).toBe('');
  expect(ours.code).toBe(0);
  const theirs = await tcpdump('-r', path, ...flags);
  return { ours: lines(ours.stdout), theirs: theirs.map((line) => line.replace(/: $/, '')) };
}

describe('ringtap read', () => {
  test.each(tcpdumpCases)('prints $name like tcpdump', async ({ packets, linkType = LinkType.ethernet }) => {
    const { ours, theirs } = await both(
      packets.map((data) => ({ data })),
      linkType,
      '-t',
    );
    expect(ours).toEqual(theirs);
  });

  test.each(tcpdumpCases)(
    'prints $name with its link header like tcpdump',
    async ({ packets, linkType = LinkType.ethernet }) => {
      const { ours, theirs } = await both(
        packets.map((data) => ({ data })),
        linkType,
        '-t',
        '-e',
      );
      expect(ours).toEqual(theirs);
    },
  );

  test.each(tcpdumpCases)(
    'prints $name cut at every byte like tcpdump',
    async ({ packets, linkType = LinkType.ethernet }) => {
      const { ours, theirs } = await both(packets.flatMap(cuts), linkType, '-t');
      expect(ours).toEqual(theirs);
    },
  );
});
