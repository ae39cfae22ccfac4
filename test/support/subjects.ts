// The capture methods that the conformance suite runs over.
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Batch, type Capture, type OpenOptions, open } from 'ringtap';
import { lab, send } from './lab.js';
import { bytes, ethernet, ipv4, pcapFile, u32, udp } from './trace.js';

export interface Subject {
  readonly name: string;
  readonly live: boolean;
  /** A capture to which `feed(count)` makes exactly so many packets come. */
  open(count: number, options?: OpenOptions): Promise<Capture>;
  feed(count: number): Promise<unknown>;
  /** The running number of a packet. */
  number(batch: Batch, i: number): number;
}

const PAYLOAD = 14 + 20 + 8;
const payloadNumber = (batch: Batch, i: number) => Number(batch.view.getBigUint64(batch.offset[i]! + PAYLOAD));

const made = new Map<number, string>();
process.once('exit', () => {
  for (const path of made.values()) rmSync(path, { force: true });
});

/** A trace of numbered UDP packets with 64 source ports. */
export function numberedTrace(count: number): string {
  let path = made.get(count);
  if (path !== undefined) return path;
  path = join(tmpdir(), `ringtap-numbered-${process.pid}-${count}.pcap`);
  const packets = Array.from({ length: count }, (_, i) => ({
    data: ethernet(0x0800, ipv4({ protocol: 17 }, udp(49152 + (i % 64), 9, bytes(u32(0), u32(i), Buffer.alloc(10))))),
    time: 1_700_000_000_000_000_000n + BigInt(i),
  }));
  writeFileSync(path, pcapFile(packets));
  made.set(count, path);
  return path;
}

const nothing = () => Promise.resolve();

const synth: Subject = {
  name: 'synth',
  live: false,
  open: (count, options) => open(`synth:?count=${count}&protocols=udp&flows=64`, options),
  feed: nothing,
  number: (batch, i) => batch.time[i]! / 1000,
};

const file: Subject = {
  name: 'file',
  live: false,
  open: (count, options) => open(`file:${numberedTrace(count)}`, options),
  feed: nothing,
  number: payloadNumber,
};

const onWire = (name: string): Subject => ({
  name,
  live: true,
  open: (_, options) => open(`${name}:${lab!.rx}`, options),
  feed: (count) => send({ count, rate: 100_000, flows: 64 }),
  number: payloadNumber,
});

export const subjects: readonly Subject[] =
  lab === null ? [synth, file] : [synth, file, onWire('afpacket'), onWire('pcap'), onWire('afxdp')];
