// A client, a bump in the wire, and a server, each in a network namespace of its own: a0–m0 and m1–b0. The bump is here.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { until } from './wait.js';

const run = (...[program, ...args]: string[]) => execFileSync(program!, args, { stdio: 'pipe' }).toString();
const namespaceOf = (pid: number | 'self') => readlinkSync(`/proc/${pid}/ns/net`);

export const CLIENT = '10.81.0.2';
export const IN = '10.81.0.5';
export const OUT = '10.82.0.5';
export const SERVER = '10.82.0.2';
export const CLIENT6 = 'fd81::2';
export const IN6 = 'fd81::5';
export const OUT6 = 'fd82::5';
export const SERVER6 = 'fd82::2';
export const RULE = `web: m0 ${CLIENT} -> ${IN}/24 => m1 ${OUT}/24 -> ${SERVER}`;
export const RULE6 = `six: m0 ${CLIENT6} -> ${IN6} => m1 ${OUT6} -> ${SERVER6}`;

/** A host at one of the ends. */
export class End {
  readonly #holder: ChildProcess;
  readonly device: string;

  private constructor(holder: ChildProcess, device: string) {
    this.#holder = holder;
    this.device = device;
  }

  static async make(device: string, here: string, ...addresses: string[]): Promise<End> {
    const holder = spawn('unshare', ['-n', 'sleep', '300'], { stdio: 'ignore' });
    const pid = holder.pid!;
    await until(() => namespaceOf(pid) !== namespaceOf('self'), 'another namespace');
    const end = new End(holder, device);
    run('ip', 'link', 'add', here, 'type', 'veth', 'peer', 'name', device, 'netns', String(pid));
    run('sysctl', '-qw', `net.ipv6.conf.${here}.disable_ipv6=1`);
    run('ip', 'link', 'set', here, 'up');
    end.run('ip', 'link', 'set', 'lo', 'up');
    for (const address of addresses) end.run('ip', 'address', 'add', address, 'dev', device, 'nodad');
    end.run('ip', 'link', 'set', device, 'up');
    await until(() => end.run('ip', 'link', 'show', device).includes('LOWER_UP'), 'a link');
    return end;
  }

  get #enter(): string[] {
    return ['nsenter', '-t', String(this.#holder.pid), '-n'];
  }

  /** What a program there prints. */
  run(...args: string[]): string {
    return run(...this.#enter, ...args);
  }

  spawn(...args: string[]): ChildProcess {
    const [program, ...rest] = [...this.#enter, ...args];
    return spawn(program!, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** What a script of Node's prints there. */
  async node(script: string): Promise<string> {
    const child = this.spawn(process.execPath, '-e', script);
    let output = '';
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (text) => (output += text));
    await once(child, 'close');
    return output.trim();
  }

  /** One that goes on, and has printed its first line. */
  async serve(script: string): Promise<{ readonly child: ChildProcess; readonly lines: string[] }> {
    const child = this.spawn(process.execPath, '-e', script);
    const lines: string[] = [];
    child.stdout!.on('data', (text) => lines.push(...String(text).trim().split('\n')));
    await once(child.stdout!, 'data');
    return { child, lines };
  }

  /** A counter of the host's, such as Icmp InRedirects. */
  counter(protocol: string, name: string): number {
    const [names = '', values = ''] = this.run('cat', '/proc/self/net/snmp')
      .split('\n')
      .filter((line) => line.startsWith(`${protocol}:`));
    return Number(values.split(' ')[names.split(' ').indexOf(name)]);
  }

  close(): void {
    this.#holder.kill();
  }
}

export interface Bump {
  readonly client: End;
  readonly server: End;
}

export async function makeBump(): Promise<Bump> {
  const client = await End.make('a0', 'm0', `${CLIENT}/24`, `${CLIENT6}/64`);
  const server = await End.make('b0', 'm1', `${SERVER}/24`, `${SERVER6}/64`);
  return { client, server };
}

/** The devices go with the namespaces. */
export function closeBump({ client, server }: Bump): void {
  client.close();
  server.close();
  for (const device of ['m0', 'm1']) {
    try {
      run('ip', 'link', 'del', device);
    } catch {} // it went already
  }
}

/** Checksums that are left to the card, or not, at every end. */
export function offload({ client, server }: Bump, value: 'on' | 'off'): void {
  for (const device of ['m0', 'm1']) run('ethtool', '-K', device, 'tx', value);
  client.run('ethtool', '-K', 'a0', 'tx', value);
  server.run('ethtool', '-K', 'b0', 'tx', value);
}

/** Sends so many bytes over TCP. @returns what the server says: from whom, how many, and their SHA-256, and the client's */
export async function transfer(
  { client, server }: Bump,
  bytes: number,
  to = IN,
): Promise<{ seen: string; sent: string }> {
  const port = 5000;
  const { child, lines } = await server.serve(`
    const hash = require('crypto').createHash('sha256'); let bytes = 0;
    require('net').createServer((socket) => {
      const from = socket.remoteAddress.replace('::ffff:', '');
      socket.on('data', (data) => { bytes += data.length; hash.update(data); });
      socket.on('end', () => { socket.end(); console.log(from, bytes, hash.digest('hex')); process.exitCode = 0; });
      socket.on('close', () => process.exit());
    }).listen(${port}, '::', () => console.log('listens'));`);
  const sent = await client.node(`
    const data = require('crypto').randomBytes(${bytes});
    const socket = require('net').connect(${port}, '${to}', () => socket.end(data));
    socket.on('error', (error) => { console.log(error.code); process.exit(); });
    socket.on('close', () => console.log(data.length, require('crypto').createHash('sha256').update(data).digest('hex')));
    setTimeout(() => { console.log('late'); process.exit(); }, 30000).unref();`);
  if (child.exitCode === null)
    await Promise.race([once(child, 'close'), new Promise((done) => setTimeout(done, 1000))]);
  child.kill();
  return { seen: lines.at(-1)!, sent };
}

/** What the client hears that sends a datagram to a port: nothing, or an error. */
export function datagram(client: End, to: string, port: number, bytes: number): Promise<string> {
  return client.node(`
    const socket = require('dgram').createSocket('${to.includes(':') ? 'udp6' : 'udp4'}');
    socket.on('error', (error) => { console.log(error.code); process.exit(); });
    socket.on('message', (data) => { console.log('answer', data.length); process.exit(); });
    socket.connect(${port}, '${to}', () => socket.send(Buffer.alloc(${bytes}, 7)));
    setTimeout(() => { console.log('nothing'); process.exit(); }, 1500);`);
}

/** Answers datagrams with what they say. */
export function echo(server: End): Promise<{ readonly child: ChildProcess }> {
  return server.serve(`
    const socket = require('dgram').createSocket('udp6');
    socket.on('message', (data, from) => socket.send(data, from.port, from.address));
    socket.bind(7, '::', () => console.log('listens'));`);
}
