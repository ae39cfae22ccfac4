// A throw-away network: `npm run lab -- <command…>` runs a command in a network namespace of its own with a veth
// pair, rt0 (send here) ↔ rt1 (capture here). Nothing of the host's network is touched, and nothing is left behind:
// the namespace goes with its last process.
import { spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { pathToFileURL } from 'node:url';

const USAGE = `usage: npm run lab -- [--queues N] [--gro] [--] <command> [arguments…]

Runs the command in a new network namespace with the veth pair rt0 ↔ rt1, both up, without IPv6 (which is on the loopback only).
The command finds RINGTAP_LAB=1, RINGTAP_LAB_RX=rt1 and RINGTAP_LAB_TX=rt0 in its environment.

  --queues N   give both ends N receive and N transmit queues (default 1)
  --gro        turn GRO on at rt1 (off is a veth's default); frames redirected by XDP need it. Needs ethtool.

Works as root, and as an ordinary user where user namespaces are allowed.`;

// $1 queues, $2 gro, then the command. exec: the command takes over the process, so signals, the terminal and the
// exit status need no forwarding in here. pdeathsig: it must not outlive whoever asked for it.
const INSIDE = `set -e
queues=$1 gro=$2
shift 2
if [ -e /proc/sys/net/ipv6/conf/all/disable_ipv6 ]; then
  echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
  echo 0 > /proc/sys/net/ipv6/conf/lo/disable_ipv6
fi
ip link set lo up
ip link add rt0 numtxqueues "$queues" numrxqueues "$queues" type veth peer name rt1 numtxqueues "$queues" numrxqueues "$queues"
ip link set rt0 up
ip link set rt1 up
if [ "$gro" = 1 ]; then ethtool -K rt1 gro on; fi
exec setpriv --pdeathsig TERM -- "$@"`;

const insideCommand = (unshare, argv, { queues = 1, gro = false } = {}) => [
  ...unshare,
  'sh',
  '-c',
  INSIDE,
  'lab',
  String(queues),
  gro ? '1' : '0',
  ...argv,
];

const WAYS = [
  ['unshare', '--net'],
  ['unshare', '--user', '--map-root-user', '--net'],
];

let found;

/** How this host can make a lab: { way } (the start of a command line), or { reason } if it can't. */
export function labSupport() {
  if (found !== undefined) return found;
  if (process.platform !== 'linux') {
    found = { reason: 'network namespaces exist on Linux only' };
    return found;
  }
  const failures = [];
  for (const way of process.getuid() === 0 ? WAYS : WAYS.slice(1)) {
    const [file, ...args] = insideCommand(way, ['true']);
    const { status, stderr, error } = spawnSync(file, args, { encoding: 'utf8' });
    if (status === 0) {
      found = { way };
      return found;
    }
    failures.push(`  ${way.join(' ')}: ${error ? error.message : stderr.trim().replaceAll('\n', '; ')}`);
  }
  found = {
    reason: `no network namespace with a veth pair can be made here:
${failures.join('\n')}
One of these helps: install iproute2 and util-linux · run as root · in a container add --cap-add SYS_ADMIN --cap-add NET_ADMIN
· allow user namespaces: sysctl -w user.max_user_namespaces=15000 (Debian, older kernels: kernel.unprivileged_userns_clone=1;
Ubuntu 24.04: kernel.apparmor_restrict_unprivileged_userns=0)`,
  };
  return found;
}

/**
 * The command line that runs `argv` in a lab: { file, args, env } for spawn().
 * Throws when this host can't; labSupport() tells beforehand.
 */
export function labCommand(argv, options = {}) {
  const { way, reason } = labSupport();
  if (way === undefined) throw new Error(reason);
  const [file, ...args] = insideCommand(way, argv, options);
  const env = { ...process.env, RINGTAP_LAB: '1', RINGTAP_LAB_RX: 'rt1', RINGTAP_LAB_TX: 'rt0' };
  return { file, args, env };
}

/** Runs a command on this terminal or `stdio`, passes signals on, resolves to its exit code (128 + n after a signal). */
export function runForeground({ file, args, env, stdio = 'inherit' }) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio, env });
    // A terminal sends its own signals to the child, too: passing them on would make two of one Ctrl-C.
    const forward = (signal) => {
      if (!(signal === 'SIGINT' && process.stdin.isTTY)) child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      for (const name of signals) process.off(name, forward);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

function parse(argv) {
  const options = {};
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === '--help' || argv[i] === '-h') return { help: true };
    if (argv[i] === '--gro') options.gro = true;
    else if (argv[i] === '--queues') {
      options.queues = Number(argv[++i]);
      if (!(Number.isInteger(options.queues) && options.queues >= 1 && options.queues <= 64)) {
        throw new Error('--queues: expected 1 to 64');
      }
    } else {
      if (argv[i] === '--') i++;
      else if (argv[i].startsWith('-')) throw new Error(`unknown option ${argv[i]}`);
      return { options, command: argv.slice(i) };
    }
  }
  return { options, command: [] };
}

async function main() {
  let parsed;
  try {
    parsed = parse(process.argv.slice(2));
  } catch (error) {
    console.error(`lab: ${error.message}\n\n${USAGE}`);
    return 2;
  }
  if (parsed.help || parsed.command.length === 0) {
    (parsed.help ? console.log : console.error)(USAGE);
    return parsed.help ? 0 : 2;
  }
  try {
    return await runForeground(labCommand(parsed.command, parsed.options));
  } catch (error) {
    console.error(`lab: ${error.message}`);
    return 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.exitCode = await main();
