// The printer on batches that the command does not meet: owned copies, whose memory ends with the last packet.
import { open } from 'ringtap';
import { expect, test } from 'vitest';
import { Printer } from '../../dist/cli/print/printer.js';
import { temporaryFolder } from '../support/folder.js';
import { tcpdumpCases } from '../support/summary-cases.js';
import { bytes, cuts, ethernet, ipv4, ipv6, u16, u32, udp, writePcap } from '../support/trace.js';

const path = temporaryFolder();

test('the last packet of an owned copy is printed as it is in the batch, whole and cut at every byte', async () => {
  const tunnel = ipv4({ protocol: 17 }, udp(40000, 40001, Buffer.alloc(4)));
  const fragment = ethernet(0x86dd, ipv6({ next: 44 }, bytes(4, 0, u16(0), u32(9), tunnel)));
  const frames = [fragment, ...tcpdumpCases.filter(({ linkType }) => linkType === undefined).flatMap((c) => c.packets)];
  const packets = frames.filter((_, i) => i % 5 === 0).flatMap(cuts);
  const file = path('cuts.pcap');
  writePcap(file, packets);
  await using capture = await open(file, { batchSize: 1 });
  const printer = new Printer(capture.epoch, { time: 'none', showLink: false });
  let printed = 0;
  for await (const batch of capture) {
    const line = printer.lines(batch, 1);
    expect(printer.lines(batch.copy(), 1)).toBe(line);
    if (printed++ === 14 + 40 + 6 - 1) expect(line).toBe('IP6 fe80::1 > ff02::2: frag (0|32)  [|ip]\n');
  }
  expect(printed).toBe(packets.length);
});
