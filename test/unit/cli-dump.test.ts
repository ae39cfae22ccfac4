// `-x`, `-X` and `-A`: the bytes that follow a line, against those of tcpdump.
import { describe, expect, test } from 'vitest';
import { lines, ringtap, start } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { tcpdumpCases } from '../support/summary-cases.js';
import { cuts, ethernet, ipv4, LinkType, type TracePacket, udp, writePcap } from '../support/trace.js';

const path = temporaryFolder();
let files = 0;

function trace(packets: readonly TracePacket[], linkType?: number): string {
  const file = path(`${++files}.pcap`);
  writePcap(file, packets, linkType);
  return file;
}

/** All cases of one link type in one trace, cut at every byte or whole. */
const linkTypes = [...new Set(tcpdumpCases.map(({ linkType }) => linkType ?? LinkType.ethernet))];
const packetsOf = (linkType: number) =>
  tcpdumpCases.filter((one) => (one.linkType ?? LinkType.ethernet) === linkType).flatMap(({ packets }) => packets);

const theirs = async (flag: string, file: string) =>
  (await start('tcpdump', ['-nn', '-S', '-t', flag, '-r', file]).outcome).stdout;
const ours = async (flag: string, file: string) => {
  const { code, stdout, stderr } = await ringtap('read', '-t', flag, file);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
};

/** The dump of each packet, whatever its own line says; the last one, for tcpdump dumps what it does not decode by itself. */
function dumps(text: string): string[] {
  const all: string[] = [];
  for (const line of lines(text)) {
    if (line.startsWith('\t0x0000:')) all[all.length - 1] = `${line}\n`;
    else if (line.startsWith('\t0x')) all[all.length - 1] += `${line}\n`;
    else all.push('');
  }
  return all;
}

describe('the bytes that ringtap read prints', () => {
  test.each(linkTypes)('with -xx and -XX are those of tcpdump, cut anywhere: link type %d', async (linkType) => {
    const file = trace(packetsOf(linkType).flatMap(cuts), linkType);
    for (const flag of ['-xx', '-XX']) expect(dumps(await ours(flag, file))).toEqual(dumps(await theirs(flag, file)));
  });

  test.each(linkTypes)('with -x and -X are those of tcpdump: link type %d', async (linkType) => {
    const packets = packetsOf(linkType).map((data) => ({ data }));
    const file = trace(packets, linkType);
    for (const flag of ['-x', '-X']) expect(dumps(await ours(flag, file))).toEqual(dumps(await theirs(flag, file)));
  });

  test.each(linkTypes)(
    'with -x go without the link header, cut anywhere, which tcpdump keeps at times: link type %d',
    async (linkType) => {
      const pieces = packetsOf(linkType).flatMap(cuts);
      const file = trace(pieces, linkType);
      const [mine, others] = [dumps(await ours('-x', file)), dumps(await theirs('-x', file))];
      expect(mine).toHaveLength(pieces.length);
      const bytes = (text: string) => text.replaceAll(/^\t0x[0-9a-f]+: |[ \n]/gm, '');
      for (const [i, dump] of mine.entries()) expect(bytes(others[i]!).endsWith(bytes(dump))).toBe(true);
    },
  );

  test('with -A are those of tcpdump, line ends and all', async () => {
    const text = Buffer.from('GET / HTTP/1.0\r\nHost: a\tb\n\r\r\rx\x00\x7f\x80\xff~!\r', 'latin1');
    const file = trace([{ data: ethernet(0x0800, ipv4({ protocol: 17 }, udp(40000, 40001, text))) }]);
    expect(await ours('-A', file)).toBe(await theirs('-A', file));
  });

  test('count beyond 64 KiB, and end with an odd byte', async () => {
    const data = Buffer.from(Array.from({ length: 70_001 }, (_, i) => (i * 7) & 255));
    const file = trace([{ data: Buffer.concat([Buffer.from('45000000', 'hex'), data]) }], LinkType.rawIp);
    for (const flag of ['-x', '-X']) expect(dumps(await ours(flag, file))).toEqual(dumps(await theirs(flag, file)));
  });

  test('with several letters are those of the one that shows most', async () => {
    const file = trace([{ data: ethernet(0x0800, ipv4({ protocol: 17 }, udp(40000, 40001, Buffer.alloc(22)))) }]);
    const both = (...flags: string[]) => ringtap('read', '-t', ...flags, file);
    expect((await both('-x', '-X', '-A')).stdout).toBe(await theirs('-X', file));
    expect((await both('-Ax')).stdout).toBe(await theirs('-x', file));
  });
});
