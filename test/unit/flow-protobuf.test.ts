// Records of flows as protobuf, read back by a library that others have written.
import { randomFillSync } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BatchSchema, type Flow } from '@ringtap/wire';
import type { FlowBatch, FlowRecord } from 'ringtap/flow';
import { describe, expect, test } from 'vitest';
import { flowsIn, writeFlows } from '../support/exporting.js';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();
const ENDS = ['idle', 'active', 'fin', 'rst', 'evicted', 'flushed'];
const STATES = ['new', 'established', 'closed'];
const TUNNELS = ['none', 'vxlan', 'geneve', 'gre', 'erspan', 'tzsp', 'mpls', 'gtp-u'];

/** Address of 4 or 16 bytes as `FlowRecord` has it. */
function address(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** What was read, as the record that it was made of. */
function recordOf(flow: Flow): FlowRecord {
  const whole = (a: bigint, b: bigint) => [Number(a), Number(b)] as const;
  return {
    id: Number(flow.id),
    start: flow.startNs,
    end: flow.startNs + flow.durationNs,
    src: address(flow.src),
    dst: address(flow.dst),
    srcPort: flow.srcPort,
    dstPort: flow.dstPort,
    protocol: flow.protocol,
    ipVersion: flow.src.length === 16 ? 6 : 4,
    vlans: [flow.outerVlan, flow.innerVlan].filter((id) => id > 0),
    tunnel: { kind: TUNNELS[flow.tunnelKind] as 'none', id: flow.tunnelId },
    packets: [flow.packetsToServer, flow.packetsToClient],
    ipBytes: whole(flow.ipBytesToServer, flow.ipBytesToClient),
    frameBytes: whole(flow.frameBytesToServer, flow.frameBytesToClient),
    tcpFlags: [flow.tcpFlagsToServer, flow.tcpFlagsToClient],
    minBytes: [flow.minBytesToServer, flow.minBytesToClient],
    maxBytes: [flow.maxBytesToServer || flow.minBytesToServer, flow.maxBytesToClient || flow.minBytesToClient],
    minTtl: [flow.minTtlToServer, flow.minTtlToClient],
    meanGapNs: whole(flow.meanGapNsToServer, flow.meanGapNsToClient),
    retransmissions: [flow.retransmissionsToServer, flow.retransmissionsToClient],
    outOfOrder: [flow.outOfOrderToServer, flow.outOfOrderToClient],
    zeroWindows: [flow.zeroWindowsToServer, flow.zeroWindowsToClient],
    serverRttUs: flow.serverRttUs,
    clientRttUs: flow.clientRttUs,
    icmpErrors: flow.icmpErrors,
    icmpType: flow.icmpType,
    icmpCode: flow.icmpCode,
    part: flow.part,
    ended: ENDS[flow.ended] as 'idle',
    state: STATES[flow.state] as 'new',
    initiatorKnown: flow.initiatorKnown,
    sampling: flow.sampling || 1,
  };
}

const flowsOf = (batch: FlowBatch) => fromBinary(BatchSchema, batch.toProtobuf()).flows;

describe('records of flows as protobuf', () => {
  test('every field of every record is what the record has', async () => {
    writeFlows(path('flows.pcap'), 35, 400);
    const { batches, records } = await flowsIn(path('flows.pcap'));
    const read = batches.flatMap(flowsOf).map(recordOf);
    expect(read).toHaveLength(records.length);
    const rounded = ({ meanGapNs: [a, b], ...rest }: FlowRecord) => ({
      ...rest,
      meanGapNs: [Math.trunc(a), Math.trunc(b)],
    });
    expect(read).toEqual(records.map(rounded));
  });

  test('they are part of the message that their bytes are put into', async () => {
    writeFlows(path('some.pcap'), 1, 5);
    const { batches, records } = await flowsIn(path('some.pcap'));
    const head = toBinary(BatchSchema, create(BatchSchema, { epoch: 7n, sequence: 12n }));
    const whole = fromBinary(BatchSchema, Buffer.concat([head, ...batches.map((flows) => flows.toProtobuf())]));
    expect(whole).toMatchObject({ epoch: 7n, sequence: 12n });
    expect(whole.flows).toHaveLength(records.length);
    expect(whole.flows[0]!.$unknown).toBeUndefined();
  });

  test('columns of any bytes make messages that can be read', async () => {
    writeFlows(path('any.pcap'), 2, 200);
    const { batches } = await flowsIn(path('any.pcap'));
    for (const flows of batches) {
      for (let round = 0; round < 20; round++) {
        randomFillSync(new Uint8Array(flows.id.buffer));
        if (round === 0) new Uint8Array(flows.id.buffer).fill(0xff);
        expect(flowsOf(flows)).toHaveLength(flows.length);
      }
    }
  });
});
