// Headers as columns: their numbers against those of tshark, and what becomes of memory that was scribbled on.
import { type Batch, type Capture, open, openWriter } from 'ringtap';
import { ABSENT, Decoded, DecodeFlags, decode, decodePacket, ipv4Text, ipv6Text, macText } from 'ringtap/decode';
import { afterEach, describe, expect, test } from 'vitest';
import { root } from '../support/child.js';
import { decodeCases } from '../support/decode-cases.js';
import { temporaryFolder } from '../support/folder.js';
import { factsOfColumns, factsOfTshark, type HeaderFacts } from '../support/header-facts.js';
import { failure } from '../support/packets.js';
import { tcpdumpCases } from '../support/summary-cases.js';
import { bytes, ethernet, ipv4, ipv6, LinkType, type TracePacket, tcp, u16, udp, writePcap } from '../support/trace.js';

const path = temporaryFolder();
const captures: Capture[] = [];
afterEach(() => Promise.all(captures.splice(0).map((capture) => capture.close())));

let files = 0;
async function captureOf(packets: readonly TracePacket[], linkType?: number): Promise<Capture> {
  const file = path(`${++files}.pcap`);
  writePcap(file, packets, linkType);
  const capture = await open(file, { batchSize: 1024 });
  captures.push(capture);
  return capture;
}

/** The packets as one batch. */
async function batchOf(packets: readonly Uint8Array[], linkType?: number): Promise<Batch> {
  const capture = await captureOf(
    packets.map((data) => ({ data })),
    linkType,
  );
  return capture.nextSync(1000)!;
}

/** The columns of all packets of a trace, batch by batch. */
async function factsOfTrace(file: string): Promise<HeaderFacts[]> {
  const facts: HeaderFacts[] = [];
  await using capture = await open(file);
  let decoded: Decoded | undefined;
  for await (const batch of capture) {
    decoded = decode(batch, decoded);
    for (let i = 0; i < decoded.length; i++) facts.push(factsOfColumns(decoded, i));
  }
  return facts;
}

const someUdp = ethernet(0x0800, ipv4({ protocol: 17 }, udp(40000, 53, Buffer.alloc(22, 7))));
const someTcp6 = ethernet(0x86dd, ipv6({ next: 6 }, tcp({ source: 443, flags: 0x18 }, Buffer.alloc(9, 7))));

/** All columns, as plain numbers, of the packets that were decoded. */
function numbersOf(decoded: Decoded): Record<string, number[]> {
  const columns = Object.entries(decoded).filter(([, value]) => ArrayBuffer.isView(value)) as [string, Uint8Array][];
  return Object.fromEntries(
    columns.map(([name, values]) => [
      name,
      [...values.subarray(0, (values.length / decoded.capacity) * decoded.length)],
    ]),
  );
}

describe('the columns', () => {
  test('have the numbers that tshark finds, for every stack of tags, IP headers and transports', async () => {
    const file = path('cases.pcap');
    const frames = decodeCases();
    writePcap(
      file,
      frames.map((data) => ({ data })),
    );
    const ours = await factsOfTrace(file);
    const theirs = await factsOfTshark(file);
    expect(ours).toHaveLength(frames.length);
    for (const [i, fact] of theirs.entries()) {
      // Only two tags are kept, and the payload of a fragment is one only to us.
      const vlans = fact.vlans.split(',').slice(0, 2).join();
      const payload = fact.payload ?? ours[i]!.payload;
      expect({ i, ...ours[i] }).toEqual({ i, ...fact, vlans, payload });
    }
    expect(theirs.filter(({ payload }) => payload !== undefined).length).toBeGreaterThan(100);
    expect(new Set(theirs.map(({ ports }) => ports)).size).toBeGreaterThan(6);
  });

  test('have the numbers that tshark finds in traffic of several protocols', async () => {
    const file = path('synth.pcap');
    await using capture = await open(
      'synth:?count=3000&sizes=imix&protocols=udp,tcp,icmp,udp6,tcp6,icmp6,arp&flows=99',
    );
    await using writer = await openWriter(file);
    for await (const batch of capture) await writer.write(batch);
    await writer.close();
    for (const trace of [file, `${root}examples/sample.pcap`]) {
      const ours = await factsOfTrace(trace);
      expect(ours.length).toBeGreaterThan(40);
      expect(ours).toEqual(await factsOfTshark(trace));
    }
  });

  test('tell of a packet cut at any byte what tshark finds in it, and that it was cut', async () => {
    const file = path('cuts.pcap');
    const packets = decodeCases()
      .filter((_, i) => i % 7 === 0)
      .flatMap((data) =>
        Array.from({ length: data.length - 14 }, (_, cut) => ({
          data: data.subarray(0, 14 + cut),
          wirelen: data.length,
        })),
      );
    writePcap(file, packets);
    const ours = await factsOfTrace(file);
    const theirs = await factsOfTshark(file);
    let [addresses, ports] = [0, 0];
    for (const [i, fact] of ours.entries()) {
      const isWhole = !/^4000[46]/.test(fact.ports ?? ''); // tshark shows no ports of half an SCTP or DCCP header
      if (isWhole) expect({ i, ports: fact.ports }).toEqual({ i, ports: theirs[i]!.ports });
      const { src } = theirs[i]!;
      if (src !== '' && fact.src !== '') expect({ i, src: fact.src }).toEqual({ i, src });
      if (fact.tcp !== undefined) expect({ i, tcp: fact.tcp }).toEqual({ i, tcp: theirs[i]!.tcp });
      if (fact.src !== '') addresses++;
      if (fact.ports !== undefined) ports++;
    }
    expect(addresses).toBeGreaterThan(500);
    expect(ports).toBeGreaterThan(100);
  });
});

describe('decode()', () => {
  test('finds the same in a lent batch, in an owned copy of it, and where the runtime refuses external buffers', async () => {
    const frames = decodeCases().slice(0, 200);
    const lent = await batchOf(frames);
    const copy = lent.copy();
    const facts = (batch: Batch) => {
      const decoded = decode(batch);
      expect(decoded.length).toBe(frames.length);
      return frames.map((_, i) => factsOfColumns(decoded, i));
    };
    const expected = facts(lent);
    expect(facts(copy)).toEqual(expected);
    process.env.RINGTAP_NO_EXTERNAL_BUFFERS = '1';
    try {
      expect(facts(await batchOf(frames))).toEqual(expected);
    } finally {
      delete process.env.RINGTAP_NO_EXTERNAL_BUFFERS;
    }
  });

  test('gives offsets into the memory of the batch, lent or owned', async () => {
    const lent = await batchOf([someUdp, someTcp6]);
    for (const batch of [lent, lent.copy()]) {
      const { networkOffset, transportOffset, payloadOffset, payloadCaplen } = decode(batch);
      expect(batch.view.getUint8(networkOffset[0]!)).toBe(0x45);
      expect(batch.view.getUint16(transportOffset[1]!)).toBe(443);
      for (const [i, bytesLong] of [22, 9].entries()) {
        expect(payloadCaplen[i]).toBe(bytesLong);
        const payload = batch.bytes.subarray(payloadOffset[i]!, payloadOffset[i]! + bytesLong);
        expect([...payload].every((byte) => byte === 7)).toBe(true);
      }
    }
  });

  test('fills the columns it is given anew, and numbers stay when the batch is released', async () => {
    const capture = await captureOf([someTcp6, someUdp, someUdp].map((data) => ({ data })));
    const columns = new Decoded(8);
    const batch = capture.nextSync(1000)!;
    expect(decode(batch, columns)).toBe(columns);
    const before = numbersOf(columns);
    const [src, dst] = [columns.src(0), columns.dst(1)];
    batch.hold().release();
    expect(numbersOf(columns)).toEqual(before);
    expect([columns.src(0), columns.dst(1)]).toEqual([src, dst]);
    decode(await batchOf([someUdp]), columns);
    expect(columns.length).toBe(1);
    const { src6, dst6, ...rest } = numbersOf(decode(await batchOf([someUdp])));
    expect(numbersOf(columns)).toMatchObject(rest);
    expect([src6!.length, dst6!.length]).toEqual([16, 16]);
  });

  test('makes columns that fit every batch of the same capture', async () => {
    await using capture = await open('synth:?count=1000&batchSize=64&seed=3');
    let decoded: Decoded | undefined;
    let packets = 0;
    for await (const batch of capture) {
      const given = decode(batch, decoded);
      if (decoded !== undefined) expect(given).toBe(decoded);
      decoded = given;
      packets += decoded.length;
    }
    expect({ packets, capacity: decoded!.capacity }).toEqual({ packets: 1000, capacity: 64 });
  });

  test('refuses a batch that was released, and one that says it is another lending', async () => {
    await using capture = await open('synth:?count=1000&batchSize=16');
    const held = capture.nextSync(1000)!.hold();
    held.release();
    expect(await failure(() => decode(held))).toMatchObject({ code: 'RINGTAP_RELEASED' });
    const batch = capture.nextSync(1000)!;
    const words = new Uint32Array(batch.offset.buffer);
    words[words.length - 1]!--; // the generation is the last of the descriptors
    expect(await failure(() => decode(batch))).toMatchObject({ code: 'RINGTAP_RELEASED' });
    words[words.length - 1]!++;
    expect(decode(batch).length).toBe(16);
    await capture.close();
    expect(await failure(() => decode(batch))).toMatchObject({ code: 'RINGTAP_RELEASED' });
  });

  test('refuses what is no batch, columns that are too small, and columns whose memory is gone', async () => {
    const batch = await batchOf([someUdp, someUdp]);
    for (const odd of [undefined, null, 7, {}, [], new Uint8Array(4)]) {
      expect(await failure(() => decode(odd as never))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    }
    expect((await failure(() => decode(batch, new Decoded(1)))).message).toMatch(/2 packets does not fit into .* 1$/);
    for (const odd of [{}, 7, new Uint8Array(9)]) {
      expect(await failure(() => decode(batch, odd as never))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    }
    const columns = new Decoded(2);
    structuredClone(columns.flags.buffer, { transfer: [columns.flags.buffer as ArrayBuffer] });
    expect(await failure(() => decode(batch, columns))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    const copy = batch.copy();
    structuredClone(copy.offset.buffer, { transfer: [copy.offset.buffer as ArrayBuffer] });
    expect(await failure(() => decode(copy))).toMatchObject({ code: 'RINGTAP_RELEASED' });
    for (const capacity of [0, -1, 1.5, Number.NaN, 2 ** 20 + 1, '8', undefined]) {
      expect(await failure(() => new Decoded(capacity as number))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    }
  });

  test('says of scribbled descriptors that they point outside, and follows none', async () => {
    const frames = Array.from({ length: 8 }, () => someUdp);
    const whole = await batchOf(frames);
    for (const batch of [whole, whole.copy()]) {
      batch.offset.set([0xffffffff, 0x7fffffff, batch.bytes.length, batch.bytes.length - 1]);
      batch.caplen[4] = 0xffffffff;
      batch.caplen[5] = batch.bytes.length;
      batch.wirelen[6] = 0;
      const decoded = decode(batch);
      const outside = [0, 1, 2, 3, 4].map((i) => decoded.flags[i]);
      expect(outside).toEqual(Array.from({ length: 5 }, () => DecodeFlags.outside));
      expect([decoded.networkOffset[0], decoded.ipVersion[0], decoded.src(0)]).toEqual([ABSENT, 0, '']);
      expect(() => batch.view.getUint8(decoded.networkOffset[0]!)).toThrow(RangeError);
      expect(decoded.flags[6]).toBe(DecodeFlags.ports | DecodeFlags.missing);
      expect(decoded.flags[7]).toBe(DecodeFlags.ports);
    }
  });

  test('decodes each link type to the same IP header', async () => {
    const four = ipv4({ protocol: 17 }, udp(40000, 53, Buffer.alloc(4)));
    const link: Readonly<Record<number, string>> = {
      [LinkType.ethernet]: '020000000002 020000000001 0800',
      [LinkType.bsdLoopback]: '02000000',
      [LinkType.openBsdLoopback]: '00000002',
      [LinkType.rawIp]: '',
      [LinkType.rawIpv4]: '',
      [LinkType.cooked]: '0004 0001 0006 020000000001 0000 0800',
      [LinkType.cooked2]: '0800 0000 00000007 0001 04 06 020000000001 0000',
    };
    for (const [linkType, header] of Object.entries(link)) {
      const decoded = decode(await batchOf([bytes(header, four)], Number(linkType)));
      expect({ linkType, type: decoded.etherType[0], port: decoded.dstPort[0], src: decoded.src(0) }).toEqual({
        linkType,
        type: 0x0800,
        port: 53,
        src: '10.0.0.1',
      });
    }
    expect(decode(await batchOf([four], 127)).flags[0]).toBe(DecodeFlags.unknownLink);
  });

  test('gives both directions of a flow the same hash', async () => {
    const there = udp(40000, 53, Buffer.alloc(4));
    const back = udp(53, 40000, Buffer.alloc(9));
    const [a, b] = ['192.0.2.1', '198.51.100.2'];
    const { flowHash } = decode(
      await batchOf([
        ethernet(0x0800, ipv4({ protocol: 17, source: a, destination: b }, there)),
        ethernet(0x0800, ipv4({ protocol: 17, source: b, destination: a }, back), [[0x8100, 5]]),
        ethernet(0x0800, ipv4({ protocol: 17, source: a, destination: a }, there)),
        ethernet(0x0806, Buffer.alloc(28)),
      ]),
    );
    expect(flowHash[0]).toBe(flowHash[1]);
    expect(flowHash[0]).not.toBe(flowHash[2]);
    expect(flowHash[3]).toBe(0);
  });
});

describe('decodePacket()', () => {
  test('decodes a packet in any bytes, such as one within another', () => {
    const inner = ipv6({ next: 6 }, tcp({ source: 443 }));
    const outer = ethernet(0x0800, ipv4({ protocol: 41 }, inner));
    const decoded = decodePacket(outer);
    const [offset, caplen] = [decoded.payloadOffset[0]!, decoded.payloadCaplen[0]!];
    expect({ protocol: decoded.protocol[0], offset, caplen }).toEqual({ protocol: 41, offset: 34, caplen: 60 });
    const within = decodePacket(outer, { linkType: LinkType.rawIp, offset, caplen }, decoded);
    expect(within).toBe(decoded);
    expect([within.srcPort[0], within.networkOffset[0], within.transportOffset[0]]).toEqual([443, 34, 74]);
    expect(decodePacket(someUdp, { wirelen: 4000 }).flags[0]).toBe(DecodeFlags.ports);
    expect(decodePacket(someUdp, { wirelen: 40 }).flags[0]).toBe(DecodeFlags.ports | DecodeFlags.missing);
  });

  test('tells of a packet cut at any byte nothing but what is there', () => {
    for (const { packets, linkType = 1 } of tcpdumpCases) {
      for (const packet of packets) {
        const whole = decodePacket(packet, { linkType });
        const decoded = new Decoded(1);
        for (let caplen = 0; caplen < packet.length; caplen++) {
          decodePacket(packet, { linkType, caplen, wirelen: packet.length }, decoded);
          for (const name of ['networkOffset', 'transportOffset', 'payloadOffset'] as const) {
            const at = decoded[name][0]!;
            if (at !== ABSENT && !(at < caplen && at === whole[name][0])) expect({ name, at, caplen }).toBe(undefined);
          }
          if (decoded.ipVersion[0] === 0) continue;
          expect(decoded.src(0)).toBe(whole.src(0));
          expect(decoded.src4[0]).toBe(whole.src4[0]);
          if ((decoded.flags[0]! & DecodeFlags.ports) !== 0) expect(decoded.dstPort[0]).toBe(whole.dstPort[0]);
        }
      }
    }
  });

  test('refuses numbers that are none, and places outside the bytes', async () => {
    const places: unknown[] = [
      { offset: -1 },
      { caplen: 1.5 },
      { wirelen: Number.NaN },
      { linkType: '1' },
      { offset: 5n },
    ];
    places.push({ wirelen: Symbol('60') }, { caplen: 2 ** 32 }, { offset: 60, caplen: 60 }, null, 7);
    for (const place of [...places, { offset: someUdp.length + 1 }]) {
      expect(await failure(() => decodePacket(someUdp, place as never))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    }
    for (const odd of [[], [60], new Map()]) {
      expect(await failure(() => decodePacket(someUdp, odd as never))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    }
    expect(await failure(() => decodePacket(someUdp, { offest: 10 } as never))).toMatchObject({
      code: 'RINGTAP_UNKNOWN_OPTION',
      message: expect.stringContaining('"offest"'),
      hint: 'It has: linkType, offset, caplen, wirelen',
    });
    for (const odd of [[1, 2], 'bytes', null, new DataView(new ArrayBuffer(60))]) {
      expect(await failure(() => decodePacket(odd as never))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    }
    expect(await failure(() => decodePacket(someUdp, {}, {} as never))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
  });

  test('takes a place of no bytes at the end', () => {
    expect(decodePacket(someUdp, { offset: someUdp.length }).flags[0]).toBe(DecodeFlags.cut);
  });
});

describe('verdicts', () => {
  const patched = (frame: Buffer, at: number, value: number) => {
    const copy = Buffer.from(frame);
    copy[at] = value;
    return decodePacket(copy).flags[0]! & (DecodeFlags.malformed | DecodeFlags.incomplete);
  };

  test.each([
    ['an IP version that the ethertype does not announce', someUdp, 14, 0x65, 'badVersion'],
    ['an IPv4 header length below its minimum', someUdp, 14, 0x44, 'badHeaderLength'],
    ['an IPv4 length below its header', someUdp, 17, 19, 'badLength'],
    ['an IPv4 length that ends within UDP', someUdp, 17, 27, 'noRoom'],
    ['an IPv4 length beyond the frame', someUdp, 16, 1, 'missing'],
    ['a UDP length below its header', someUdp, 39, 7, 'badLength'],
    ['a UDP length beyond IP', someUdp, 39, 31, 'badLength'],
    ['a TCP header length below its minimum', someTcp6, 66, 0x40, 'badHeaderLength'],
    ['a TCP header length beyond IP', someTcp6, 66, 0x80, 'badHeaderLength'],
  ] as const)('tell of %s', (_, frame, at, value, flag) => {
    expect(patched(frame, at, value) & DecodeFlags[flag]).toBe(DecodeFlags[flag]);
    expect(patched(frame, 0, 2)).toBe(0);
  });

  test('tell of what was not captured', () => {
    const flags = (caplen: number) =>
      decodePacket(someUdp, { caplen, wirelen: someUdp.length }).flags[0]! & DecodeFlags.incomplete;
    expect([10, 30, 40].map(flags)).toEqual([DecodeFlags.cut, DecodeFlags.cut, DecodeFlags.cut]);
    expect(flags(someUdp.length - 1)).toBe(DecodeFlags.payloadCut);
    expect(flags(someUdp.length)).toBe(0);
  });
});

describe('addresses as text', () => {
  test('have the forms that people know', () => {
    expect(ipv4Text(0xc0000201)).toBe('192.0.2.1');
    expect(ipv6Text(bytes('20010db8000000000001000000000001'))).toBe('2001:db8::1:0:0:1');
    expect(ipv6Text(bytes('ff', '00000000000000000000ffff0a000001'), 1)).toBe('::ffff:10.0.0.1');
    expect(ipv6Text(bytes('00'.repeat(16)))).toBe('::');
    expect(macText(bytes('ff 020000000001'), 1)).toBe('02:00:00:00:00:01');
    expect(macText(bytes(u16(0xabcd)), 0, 2)).toBe('ab:cd');
  });

  test('are made of nothing but addresses', async () => {
    const odd: (() => unknown)[] = [
      ...['x', -1, 1.5, Number.NaN, 2 ** 32, null, undefined, 1n, '10'].map((given) => () => ipv4Text(given as never)),
      ...[new Uint8Array(3), 'x', null, [1]].map((given) => () => ipv6Text(given as never)),
      ...[1, -1, 0.5, '0'].map((at) => () => ipv6Text(new Uint8Array(16), at as never)),
      () => macText(new Uint8Array(5)),
      () => macText(new Uint8Array(6), 0, 7),
      () => macText(undefined as never),
    ];
    for (const call of odd) expect(await failure(call)).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
  });
});
