// Messages survive encoding, and another implementation of protobuf, which is protoc, reads and writes the same bytes.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { CauseSchema, gaps, type Hello, HelloSchema, type LossReport, LossReportSchema } from '@ringtap/wire';
import { describe, expect, test } from 'vitest';

const proto = fileURLToPath(import.meta.resolve('@ringtap/wire/proto/ringtap/v1/wire.proto'));
const folder = proto.slice(0, -'/ringtap/v1/wire.proto'.length);
const protoc = (how: 'encode' | 'decode', message: string, input: string | Uint8Array) =>
  execFileSync('protoc', ['-I', folder, `--${how}=ringtap.v1.${message}`, proto], { input });

const hello: Hello = create(HelloSchema, {
  agentId: Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i),
  epoch: 0xfedcba9876543210n,
  host: 'edge-ü',
  version: '0.1.0',
  interfaces: [
    { uri: 'afpacket:eth0', backend: 'afpacket', linkType: 1, snaplen: 262144 },
    { uri: 'file:trace.pcapng', backend: 'file', linkType: 113, snaplen: 65535 },
  ],
});
const HELLO_TEXT = `agent_id: "\\360\\361\\362\\363\\364\\365\\366\\367\\370\\371\\372\\373\\374\\375\\376\\377"
epoch: 18364758544493064720
host: "edge-\\303\\274"
version: "0.1.0"
interfaces {
  uri: "afpacket:eth0"
  backend: "afpacket"
  link_type: 1
  snaplen: 262144
}
interfaces {
  uri: "file:trace.pcapng"
  backend: "file"
  link_type: 113
  snaplen: 65535
}
`;

const cause = (name: string, count: bigint) => create(CauseSchema, { name, count });
const MOST = 2n ** 64n - 1n;
const report: LossReport = create(LossReportSchema, {
  epoch: 7n,
  timeNs: 1_700_000_000_000_000_001n,
  packets: {
    received: MOST,
    metered: MOST - 60n,
    unmetered: [cause('not ip', 10n), cause('table full', 20n)],
    dropped: [cause('ring', 25n)],
    pending: 5n,
    uncounted: ['nic'],
  },
  records: { made: 9n, stored: 4n, buffered: 3n, dropped: [cause('spool full', 2n)] },
});
const REPORT_TEXT = `epoch: 7
time_ns: 1700000000000000001
packets {
  received: 18446744073709551615
  metered: 18446744073709551555
  unmetered {
    name: "not ip"
    count: 10
  }
  unmetered {
    name: "table full"
    count: 20
  }
  dropped {
    name: "ring"
    count: 25
  }
  pending: 5
  uncounted: "nic"
}
records {
  made: 9
  stored: 4
  buffered: 3
  dropped {
    name: "spool full"
    count: 2
  }
}
`;

describe.each([
  { name: 'Hello', schema: HelloSchema, message: hello, text: HELLO_TEXT },
  { name: 'LossReport', schema: LossReportSchema, message: report, text: REPORT_TEXT },
])('$name', ({ name, schema, message, text }) => {
  test('is the same after encoding and decoding', () => {
    expect(fromBinary(schema, toBinary(schema, message))).toEqual(message);
    expect(toBinary(schema, create(schema))).toHaveLength(0);
  });

  test('is read by protoc', () => {
    expect(protoc('decode', name, toBinary(schema, message)).toString()).toBe(text);
  });

  test('is read from what protoc writes', () => {
    expect(fromBinary(schema, Uint8Array.from(protoc('encode', name, text)))).toEqual(message);
  });

  test('cut short anywhere is an error or a message, and never hangs or reads beyond', () => {
    const bytes = toBinary(schema, message);
    let errors = 0;
    for (let length = 0; length < bytes.length; length++) {
      try {
        const { $typeName } = fromBinary(schema, bytes.subarray(0, length));
        expect($typeName).toBe(`ringtap.v1.${name}`);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        errors++;
      }
    }
    expect(errors).toBeGreaterThan(bytes.length / 2);
  });
});

test('what a later version adds is kept on the way through', () => {
  const later = Uint8Array.from([...toBinary(HelloSchema, hello), 0xfa, 0x01, 0x03, 1, 2, 3]); // field 31, three bytes
  expect(toBinary(HelloSchema, fromBinary(HelloSchema, later))).toEqual(later);
});

describe('gaps()', () => {
  test('is nothing where both sums close, at the largest counters too', () => {
    expect(gaps(report)).toEqual({ packets: 0n, records: 0n });
  });

  test('tells how many packets and records are unaccounted for', () => {
    const leaky = create(LossReportSchema, {
      packets: { received: 100n, metered: 90n, dropped: [cause('ring', 3n)] },
      records: { made: 1n, stored: 3n },
    });
    expect(gaps(leaky)).toEqual({ packets: 7n, records: -2n });
  });

  test('counts a cause whatever it is called, and one that is told of twice', () => {
    const names = ['__proto__', 'constructor', 'toString', '', '__proto__', 'ring'];
    const dropped = names.map((name) => cause(name, 5n));
    const all = create(LossReportSchema, { packets: { received: 31n, dropped } });
    const read = fromBinary(LossReportSchema, toBinary(LossReportSchema, all));
    expect(read.packets?.dropped.map(({ name }) => name)).toEqual(names);
    expect(gaps(read).packets).toBe(1n);
  });

  test('is nothing for what is not reported', () => {
    expect(gaps(create(LossReportSchema))).toEqual({ packets: 0n, records: 0n });
  });
});
