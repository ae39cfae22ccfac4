// The capture methods that the conformance suite runs over: those whose folder has a conformance.json, which says how each is
// opened so that packets come. docs/adding-a-backend.md tells what may stand in it.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { type Batch, type Capture, type OpenOptions, open } from 'ringtap';
import { root } from './child.js';
import { lab, send, traffic } from './lab.js';
import { bytes, ethernet, ipv4, pcapFile, u32, udp } from './trace.js';

export interface Subject {
  readonly name: string;
  readonly backend: string;
  readonly live: boolean;
  /** Its batches show copies of packets. */
  readonly copies: boolean;
  /** Who captures is another process, which comes to it when it comes to it. */
  readonly isRemote: boolean;
  /** A capture to which `feed(count)` makes exactly so many packets come. */
  open(count: number, options?: OpenOptions): Promise<Capture>;
  feed(count: number): Promise<unknown>;
  /** Sends packets with 64 source ports until it is stopped; settles then. */
  flood(stop: AbortSignal): Promise<unknown>;
  /** The running number of a packet. */
  number(batch: Batch, i: number): number;
}

/** A row of a conformance.json. */
interface Row {
  /** Where a backend has several ways, the name of this one. */
  readonly name?: string;
  /** With IFACE, on which numbered packets are sent; TRACE, a trace of COUNT of them; or COUNT, where they come by themselves. */
  readonly uri: string;
  /** Where a packet's number is: in its first eight bytes of UDP payload, or its time in microseconds. */
  readonly number?: 'payload' | 'time';
  readonly copies?: boolean;
  /** Numbered packets are sent to a port of the lab's loopback, each in a datagram behind this header, in hex digits. */
  readonly datagrams?: { readonly port: number; readonly header: string };
  /** A command of ringtap's that has to run meanwhile, and says at which port: PORT in the URI. */
  readonly beside?: readonly string[];
}

const PAYLOAD = 14 + 20 + 8;
const NUMBER: Record<NonNullable<Row['number']>, Subject['number']> = {
  payload: (batch, i) => Number(batch.view.getBigUint64(batch.offset[i]! + PAYLOAD)),
  time: (batch, i) => batch.time[i]! / 1000,
};

const made = new Map<number, string>();
process.once('exit', () => {
  for (const path of made.values()) rmSync(path, { force: true });
});

const numberedFrame = (i: number) =>
  ethernet(0x0800, ipv4({ protocol: 17 }, udp(49152 + (i % 64), 9, bytes(u32(0), u32(i), Buffer.alloc(10)))));

/** A trace of numbered UDP packets with 64 source ports. */
export function numberedTrace(count: number): string {
  let path = made.get(count);
  if (path !== undefined) return path;
  path = join(tmpdir(), `ringtap-numbered-${process.pid}-${count}.pcap`);
  const packets = Array.from({ length: count }, (_, i) => ({
    data: numberedFrame(i),
    time: 1_700_000_000_000_000_000n + BigInt(i),
  }));
  writeFileSync(path, pcapFile(packets));
  made.set(count, path);
  return path;
}

/** Numbered UDP packets with 64 source ports, from 0 on. */
async function sendDatagrams(count: number, { port, header }: NonNullable<Row['datagrams']>): Promise<void> {
  const socket = createSocket('udp4');
  try {
    for (let i = 0; i < count; i++) {
      const datagram = bytes(header, numberedFrame(i));
      const sent = new Promise<void>((resolve, reject) =>
        socket.send(datagram, port, '127.0.0.1', (error) => (error ? reject(error) : resolve())),
      );
      // Not each is waited for: that would take a turn of the event loop.
      if (i % 32 === 31 || i === count - 1) await sent;
    }
  } finally {
    socket.close();
  }
}

async function floodDatagrams(way: NonNullable<Row['datagrams']>, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await sendDatagrams(640, way);
    await turn(); // WHY: a datagram is sent at once, and what waits for that alone never lets a timer run.
  }
}

const besides = new Map<string, Promise<string>>();

/** Its port. WHY not in this process: what a subject opens and closes is counted. */
function startBeside(argv: readonly string[]): Promise<string> {
  const key = argv.join(' ');
  const started = besides.get(key) ?? startServing(argv);
  besides.set(key, started);
  return started;
}

/** Runs until this process ends. */
async function startServing(argv: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [join(root, 'dist/cli/main.js'), ...argv], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  const words = child.stderr as Socket;
  for (let said = ''; ; ) {
    const [piece] = await once(words, 'data');
    said += piece;
    const port = /at port (\d+)/.exec(said)?.[1];
    if (port === undefined) continue;
    child.unref();
    words.resume().unref();
    return port;
  }
}

function subject(
  backend: string,
  { name = backend, uri, number = 'payload', copies = false, datagrams, beside }: Row,
): Subject {
  const live = uri.includes('IFACE') || datagrams !== undefined;
  const target = (count: number) =>
    uri
      .replace('IFACE', lab?.rx ?? '')
      .replace(/TRACE|COUNT/, (word) => (word === 'TRACE' ? numberedTrace(count) : String(count)));
  return {
    name,
    backend,
    live,
    copies,
    isRemote: beside !== undefined,
    open: async (count, options) => {
      const port = beside === undefined ? '' : await startBeside(beside);
      return open(target(count).replace('PORT', port), options);
    },
    feed: (count) =>
      datagrams !== undefined
        ? sendDatagrams(count, datagrams)
        : live
          ? send({ count, rate: 100_000, flows: 64 })
          : Promise.resolve(),
    flood: (stop) =>
      datagrams !== undefined
        ? floodDatagrams(datagrams, stop)
        : live
          ? traffic({ count: 0, rate: 50_000, flows: 64 }, stop).sent
          : Promise.resolve(),
    number: NUMBER[number],
  };
}

const folder = join(root, 'native/backends');
const json = (backend: string, file: string) => JSON.parse(readFileSync(join(folder, backend, file), 'utf8'));
const rows = (backend: string): readonly Row[] => json(backend, 'conformance.json');
/** What takes packets away from the others comes last. */
const takesTraffic = (backend: string) => json(backend, 'backend.json').takesTraffic === true;

/** Those of this host; of one backend, where RINGTAP_BACKEND names it. */
export const subjects: readonly Subject[] = readdirSync(folder)
  .filter((backend) => existsSync(join(folder, backend, 'conformance.json')))
  .filter((backend) => (process.env.RINGTAP_BACKEND ?? backend) === backend)
  .sort((a, b) => Number(takesTraffic(a)) - Number(takesTraffic(b)) || a.localeCompare(b))
  .flatMap((backend) => rows(backend).map((row) => subject(backend, row)))
  .filter(({ live }) => lab !== null || !live);
