// What a capture needs of the host, as far as it can be seen without asking for any right.
import { existsSync, readFileSync } from 'node:fs';
import { release, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import { integer } from './format.js';
import { version } from './version.js';

/** One finding. `warn`: some method or size is out of reach; `fail`: nothing works without it. */
export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What would mend it. */
  readonly hint?: string;
}

const CAPABILITY_BITS = { NET_ADMIN: 12, NET_RAW: 13, IPC_LOCK: 14, SYS_ADMIN: 21, PERFMON: 38, BPF: 39 } as const;
type Capability = keyof typeof CAPABILITY_BITS;
/** What nobody can say without it. */
const NO_PROC = { status: 'warn', found: 'unknown: there is no /proc', hint: 'mount -t proc proc /proc' } as const;
/** AF_XDP memory of common size, which is charged to RLIMIT_MEMLOCK. */
const ENOUGH_LOCKED_BYTES = 64 * 1024 * 1024;
const OLDEST_NODE = [20, 19] as const;

/** Everything but what needs the addon. */
export function checkHost(): Check[] {
  const common = [checkSelf(), checkNode(), checkKernel()];
  return process.platform === 'linux'
    ? [...common, checkCapabilities(), checkUserNamespaces(), checkHugePages(), checkMemlock()]
    : common;
}

function checkSelf(): Check {
  return {
    name: 'ringtap',
    status: 'ok',
    found: `${version()}, in ${fileURLToPath(new URL('../..', import.meta.url))}`,
  };
}

function checkNode(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isOld = major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]);
  const found = `${process.version} ${process.platform}-${process.arch}`;
  if (!isOld) return { name: 'Node.js', status: 'ok', found };
  return { name: 'Node.js', status: 'fail', found, hint: `Install Node ${OLDEST_NODE.join('.')} or newer.` };
}

function checkKernel(): Check {
  const found = `${type()} ${release()}`;
  if (process.platform === 'linux') return { name: 'kernel', status: 'ok', found };
  return {
    name: 'kernel',
    status: 'warn',
    found,
    hint: 'AF_PACKET and AF_XDP exist on Linux only; libpcap works here.',
  };
}

function checkCapabilities(): Check {
  const name = 'capabilities';
  const effective = capabilities('CapEff');
  const bounding = capabilities('CapBnd');
  if (effective === undefined || bounding === undefined) return { name, ...NO_PROC };
  const found = effective.length === 0 ? 'none of those that matter' : effective.join(' ');
  const missing = (['NET_RAW', 'NET_ADMIN'] as const).filter((right) => !effective.includes(right));
  if (missing.length === 0) return { name, status: 'ok', found };
  return { name, status: 'warn', found, hint: howToGrant(missing, bounding) };
}

/** As native/linux/rights.cc has it, for what the addon is not asked about. */
function howToGrant(missing: readonly Capability[], bounding: readonly Capability[]): string {
  if (missing.every((right) => bounding.includes(right))) {
    return `sudo setcap cap_net_raw,cap_net_admin+ep "$(readlink -f "$(command -v node)")", or run as root`;
  }
  const add = 'docker run --cap-add NET_RAW --cap-add NET_ADMIN; Kubernetes: securityContext.capabilities.add';
  if (existsSync('/.dockerenv') || existsSync('/run/.containerenv')) return add;
  const names = missing.map((right) => `CAP_${right}`).join(' and ');
  return `Nothing started from here can have ${names}: start it outside the sandbox or container (${add})`;
}

/** Those of a set that matter; undefined where it cannot be read. */
function capabilities(set: 'CapEff' | 'CapBnd'): Capability[] | undefined {
  const bits = new RegExp(`^${set}:\\s*([0-9a-f]+)`, 'm').exec(readText('/proc/self/status') ?? '')?.[1];
  if (bits === undefined) return undefined;
  const has = (right: Capability) => ((BigInt(`0x${bits}`) >> BigInt(CAPABILITY_BITS[right])) & 1n) === 1n;
  return (Object.keys(CAPABILITY_BITS) as Capability[]).filter(has);
}

function checkUserNamespaces(): Check {
  const name = 'user namespaces';
  const blocked = [
    ['/proc/sys/user/max_user_namespaces', '0', 'sudo sysctl -w user.max_user_namespaces=15000'],
    ['/proc/sys/kernel/unprivileged_userns_clone', '0', 'sudo sysctl -w kernel.unprivileged_userns_clone=1'],
    [
      '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
      '1',
      'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
    ],
  ] as const;
  for (const [path, value, hint] of blocked) {
    if (readText(path)?.trim() !== value) continue;
    return { name, status: 'warn', found: 'not for ordinary users: no test network without root', hint };
  }
  if (!existsSync('/proc/self/ns')) return { name, ...NO_PROC };
  return { name, status: 'ok', found: existsSync('/proc/self/ns/user') ? 'allowed' : 'not in this kernel' };
}

function checkHugePages(): Check {
  const name = 'huge pages';
  const meminfo = readText('/proc/meminfo');
  if (meminfo === undefined) return { name, ...NO_PROC };
  const field = (key: string) => Number(new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(meminfo)?.[1] ?? 0);
  const total = field('HugePages_Total');
  const found = `${field('HugePages_Free')} free of ${total}, ${field('Hugepagesize')} KiB each`;
  if (total > 0) return { name, status: 'ok', found };
  return { name, status: 'warn', found: `${found} (only DPDK wants them)`, hint: 'sudo sysctl -w vm.nr_hugepages=512' };
}

function checkMemlock(): Check {
  const name = 'RLIMIT_MEMLOCK';
  const soft = /^Max locked memory\s+(\S+)/m.exec(readText('/proc/self/limits') ?? '')?.[1];
  if (soft === undefined) return { name, ...NO_PROC };
  if (soft === 'unlimited') return { name, status: 'ok', found: soft };
  const found = `${integer(Number(soft) / 1024)} KiB`;
  if (capabilities('CapEff')?.includes('IPC_LOCK'))
    return { name, status: 'ok', found: `${found}, but IPC_LOCK lifts it` };
  if (Number(soft) >= ENOUGH_LOCKED_BYTES) return { name, status: 'ok', found };
  return { name, status: 'warn', found: `${found} (AF_XDP wants more)`, hint: 'ulimit -l unlimited' };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
