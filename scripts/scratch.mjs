// `npm run scratch -- <command…>`: runs a command in this folder as if it were its own: whatever it writes here is in memory,
// and gone with it. Everybody else sees the folder as it was, and absolute paths, a build's for one, go on being true.
import { spawnSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { root } from './files.mjs';
import { runForeground } from './lab.mjs';

// $1 the folder, then the command. The tmpfs hides nothing that is needed: it lies over the folder's own parent's /mnt.
const INSIDE = `set -e
tree=$1
shift
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay overlay -o "lowerdir=$tree,upperdir=/mnt/upper,workdir=/mnt/work" "$tree"
cd "$tree"
exec "$@"`;

const WAYS = [
  ['unshare', '--mount'],
  ['unshare', '--user', '--map-root-user', '--mount'],
];

/** How this host can do it: { way }, or { reason } if it can't. */
export function scratchSupport() {
  const failures = [];
  for (const way of process.getuid() === 0 ? WAYS : WAYS.slice(1)) {
    const [file, ...args] = [...way, 'sh', '-c', INSIDE, 'scratch', root, 'true'];
    const { status, stderr, error } = spawnSync(file, args, { encoding: 'utf8' });
    if (status === 0) return { way };
    failures.push(`${way.join(' ')}: ${error ? error.message : stderr.trim()}`);
  }
  return { reason: `no file system can be laid over this folder:\n${failures.join('\n')}` };
}

/** The command line that runs `argv` so: { file, args, env } for spawn(). Throws when this host can't. */
export function scratchCommand(argv) {
  const { way, reason } = scratchSupport();
  if (way === undefined) throw new Error(reason);
  const [file, ...args] = [...way, 'sh', '-c', INSIDE, 'scratch', root, ...argv];
  return { file, args, env: process.env };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const command = process.argv.slice(2);
  if (command.length === 0) {
    console.error('usage: npm run scratch -- <command> [arguments…]');
    process.exitCode = 2;
  } else {
    process.exitCode = await runForeground(scratchCommand(command));
  }
}
