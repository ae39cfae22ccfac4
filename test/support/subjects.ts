// The capture methods that the conformance suite runs over.
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Batch, type Capture, type OpenOptions, open } from 'ringtap';
import { lab, send } from './lab.js';
import { bytes, ethernet, ipv4, pcapFile, u32, udp } from './trace.js';

export interface Subject {
  readonly name: string;
  readonly backend: string;
  readonly live: boolean;
  /** Its batches show copies of packets. */
  readonly copies: boolean;
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
  backend: 'synth',
  live: false,
  copies: false,
  open: (count, options) => open(`synth:?count=${count}&protocols=udp&flows=64`, options),
  feed: nothing,
  number: (batch, i) => batch.time[i]! / 1000,
};

const file: Subject = {
  name: 'file',
  backend: 'file',
  live: false,
  copies: false,
  open: (count, options) => open(`file:${numberedTrace(count)}`, options),
  feed: nothing,
  number: payloadNumber,
};

const onWire = (name: string, uri = `${name}:IFACE`, copies = false): Subject => ({
  name,
  backend: uri.slice(0, uri.indexOf(':')),
  live: true,
  copies,
  open: (_, options) => open(uri.replace('IFACE', lab!.rx), options),
  feed: (count) => send({ count, rate: 100_000, flows: 64 }),
  number: payloadNumber,
});

export const subjects: readonly Subject[] =
  lab === null
    ? [synth, file]
    : [
        synth,
        file,
        onWire('afpacket'),
        onWire('pcap', 'pcap:IFACE', true),
        // Against stand-ins for the kernel module and the library: vitest.config.ts preloads them.
        onWire('pfring', 'pfring:IFACE?path=ring'),
        onWire('pfring library', 'pfring:IFACE?path=library', true),
        onWire('pfring zc', 'pfring:zc:IFACE'),
        // Last: it takes the packets away from the others.
        onWire('afxdp'),
      ];
