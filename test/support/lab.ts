// The lab's interfaces and its traffic generator, for tests.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { labSupport } from '../../scripts/lab.mjs';

/** Capture on rx, send on tx; null where this host has no lab (see {@link labMissing}). */
export const lab =
  process.env.RINGTAP_LAB === undefined
    ? null
    : { rx: process.env.RINGTAP_LAB_RX ?? 'rt1', tx: process.env.RINGTAP_LAB_TX ?? 'rt0' };

/** Why there is no lab: the reason for a skip. */
export const labMissing: string | undefined = lab === null ? labSupport().reason : undefined;

/** Where the generator runs unless told otherwise: what is sent from one CPU comes in order, from several it need not. */
const CORE =
  lab === null ? 0 : Number(/^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);

/** What ringtap-pktgen says when it is done. */
export interface Sent {
  sent: number;
  bytes: number;
  seconds: number;
  pps: number;
  errors: number;
}

export interface TrafficOptions {
  count: number;
  rate?: number;
  size?: number | string;
  proto?: 'udp' | 'tcp' | 'icmp' | 'udp6' | 'tcp6' | 'icmp6';
  flows?: number;
  vlan?: number;
  method?: 'sendmmsg' | 'txring' | 'xdp';
  core?: number;
  stamp?: boolean;
  iface?: string;
}

/** Starts ringtap-pktgen on the sending end. Aborting the signal stops it early; `sent` still resolves. */
export function traffic(options: TrafficOptions, signal?: AbortSignal): { process: ChildProcess; sent: Promise<Sent> } {
  const program = fileURLToPath(new URL('../../build/addon/bin/ringtap-pktgen', import.meta.url));
  const { iface = lab?.tx ?? 'rt0', stamp, ...rest } = { core: CORE, ...options };
  const args = ['--iface', iface, ...Object.entries(rest).flatMap(([name, value]) => [`--${name}`, String(value)])];
  if (stamp === true) args.push('--stamp');
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  signal?.addEventListener('abort', () => child.kill('SIGINT'), { once: true });
  return { process: child, sent: result(child) };
}

async function result(child: ChildProcess): Promise<Sent> {
  let output = '';
  let complaints = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    complaints += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`ringtap-pktgen: exit code ${code}: ${complaints}`);
  return JSON.parse(output) as Sent;
}

/** Sends exactly this, and resolves when it is sent. */
export function send(options: TrafficOptions): Promise<Sent> {
  return traffic(options).sent;
}
