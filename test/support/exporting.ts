// Flows to export, and what others read of them.
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { open } from 'ringtap';
import type { FlowExporter } from 'ringtap/export';
import { type FlowBatch, FlowMeter, type FlowRecord } from 'ringtap/flow';
import { flowsOf } from './flow-cases.js';
import { bytes, ethernet, ipv4, ipv6, type TracePacket, writePcap } from './trace.js';

/** Pings of IPv4 and IPv6, and who answers. */
function pings(count: number): TracePacket[] {
  return Array.from({ length: count }, (_, i) => {
    const time = 1_700_000_000_000_000_000n + BigInt(i) * 10_000_000n;
    const [source, destination] = [`10.9.0.${i + 1}`, '192.168.7.1'];
    const echo = (type: number) => bytes(type, '00 0000', i >> 8, i & 255, '0001 0102030405060708');
    const six = {
      next: 58,
      source: `20010db8${'0'.repeat(20)}${(i + 16).toString(16).padStart(4, '0')}`,
      destination: `20010db8${'0'.repeat(23)}1`,
    };
    return [
      { time, data: ethernet(0x0800, ipv4({ protocol: 1, source, destination }, echo(8))) },
      {
        time: time + 1_234_567n,
        data: ethernet(0x0800, ipv4({ protocol: 1, source: destination, destination: source }, echo(0))),
      },
      { time: time + 2_000_000n, data: ethernet(0x86dd, ipv6(six, echo(128))) },
    ];
  }).flat();
}

/** Writes a trace of flows of all kinds: IPv4 and IPv6, TCP, UDP and ICMP, VLANs, QinQ, tunnels, fragments. */
export function writeFlows(path: string, seed: number, count: number): void {
  const packets = [...flowsOf(seed, count).packets, ...pings(40)];
  writePcap(
    path,
    packets.sort((a, b) => Number((a.time ?? 0n) - (b.time ?? 0n))),
  );
}

/** All records of a trace. */
export async function flowsIn(
  path: string,
): Promise<{ readonly batches: FlowBatch[]; readonly records: FlowRecord[] }> {
  const meter = new FlowMeter();
  await using capture = await open(`file:${path}`);
  for await (const batch of capture) meter.add(batch);
  meter.flush();
  const batches = [...meter.drain()];
  const records = batches.flatMap((flows) => Array.from({ length: flows.length }, (_, i) => flows.record(i)));
  return { batches, records };
}

export async function writeAll(exporter: FlowExporter, batches: readonly FlowBatch[]): Promise<void> {
  for (const flows of batches) await exporter.write(flows);
}

/** The sums of {@link FlowExporter.stats} close. */
export function isBalanced(exporter: FlowExporter): boolean {
  const { records, sent, waiting, notSent } = exporter.stats();
  return records === sent + waiting + Object.values(notSent).reduce((sum, count) => sum + count, 0);
}

export const ms = (ns: bigint) => Number(ns / 1_000_000n);

/** A message of IPFIX as a collector sees it first. */
export interface Header {
  readonly length: number;
  readonly sequence: number;
  readonly domain: number;
  readonly firstSet: number;
}

/** Cuts a stream into messages. */
export function messagesIn(stream: Buffer): Header[] {
  const found: Header[] = [];
  for (let at = 0; at + 16 <= stream.length; ) {
    const length = stream.readUInt16BE(at + 2);
    if (stream.readUInt16BE(at) !== 10 || length < 20) throw new Error(`no message at ${at}`);
    if (at + length > stream.length) break;
    found.push({
      length,
      sequence: stream.readUInt32BE(at + 8),
      domain: stream.readUInt32BE(at + 12),
      firstSet: stream.readUInt16BE(at + 16),
    });
    at += length;
  }
  return found;
}

/** All records as tshark reads them from a file of messages, by the ids of their flows. */
export function readByTshark(file: string, ...options: string[]): Map<number, Record<string, unknown>[]> {
  const args = ['-r', file, ...options, '-T', 'json', '--no-duplicate-keys', '-J', 'cflow'];
  const text = execFileSync('tshark', args, { maxBuffer: 1 << 29, stdio: ['ignore', 'pipe', 'ignore'] });
  const found = new Map<number, Record<string, unknown>[]>();
  const look = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const fields = value as Record<string, unknown>;
    if ('cflow.flow_id' in fields && 'cflow.protocol' in fields) {
      const id = Number(fields['cflow.flow_id']);
      found.set(id, [...(found.get(id) ?? []), fields]);
      return;
    }
    for (const inner of Object.values(fields)) look(inner);
  };
  look(JSON.parse(text.toString()));
  return found;
}

/** What tshark complains of: malformed messages, gaps in numbers, templates that are not there. */
export function complaintsOfTshark(file: string, ...options: string[]): string {
  const filter =
    '_ws.malformed || _ws.expert.severity >= 4194304 || cflow.template_frame == 0 || frame contains "no template"';
  const args = ['-r', file, ...options, '-Y', filter];
  return execFileSync('tshark', args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
}

/** Somebody who takes connections, and keeps what comes. */
export class Collector {
  readonly server: Server;
  readonly streams: Buffer[][] = [];
  readonly sockets: Socket[] = [];
  /** Sockets of those who connect are not read from. */
  deaf = false;

  constructor(server = createServer()) {
    this.server = server;
    server.on(
      server.listenerCount('secureConnection') === 0 && 'setSecureContext' in server
        ? 'secureConnection'
        : 'connection',
      (socket: Socket) => {
        const stream: Buffer[] = [];
        this.streams.push(stream);
        this.sockets.push(socket);
        socket.on('error', () => {});
        if (this.deaf) socket.pause();
        else socket.on('data', (piece: Buffer) => stream.push(piece));
      },
    );
  }

  async listen(port = 0): Promise<number> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  messages(connection: number): Header[] {
    return messagesIn(Buffer.concat(this.streams[connection] ?? []));
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    if (this.server.listening) await once(this.server, 'close');
  }
}

/** Somebody who takes datagrams, and keeps them. */
export async function datagrams(port = 0) {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 8 << 20 });
  const got: Buffer[] = [];
  socket.on('message', (message) => got.push(message));
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  return {
    got,
    port: socket.address().port,
    close: () => new Promise<void>((resolve) => socket.close(() => resolve())),
  };
}

/** The frames that datagrams would come in, for tshark. */
export function framesOf(messages: readonly Buffer[], port: number): TracePacket[] {
  return messages.map((message, i) => {
    const header = Buffer.alloc(8);
    header.writeUInt16BE(40000, 0);
    header.writeUInt16BE(port, 2);
    header.writeUInt16BE(8 + message.length, 4);
    const data = ethernet(0x0800, ipv4({ protocol: 17 }, Buffer.concat([header, message])));
    return { data, time: 1_700_000_000_000_000_000n + BigInt(i) * 1000n };
  });
}
