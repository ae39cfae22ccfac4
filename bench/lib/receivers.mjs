// Ways of being measured on live traffic. A receiver has a name, perhaps a reason why it is missing here, and the command
// line of a program that says READY on stderr and prints one JSON line at the end of a transfer:
//   packets, user, system, wall (µs), missing, rssKiB; where known: batches, largest, reordered, duplicates, dropped
// After the last frame was sent it finds the line "sent" on its stdin. bench/README.md describes it.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { program, reader } from './processes.mjs';

/** ringtap itself. `uri(iface)`; flags as bench/readers/live.mjs knows them. */
export function ringtap(name, uri, ...flags) {
  return {
    name,
    kind: 'ringtap',
    command: ({ iface, warmup, count, clock }) => ({
      argv: reader('live', uri(iface), warmup, count, ...flags, ...(clock ? ['--clock', clock] : [])),
    }),
  };
}

/** A program of bench/native/peers. */
export function native(name, executable, ...more) {
  return {
    name,
    kind: 'C',
    missing: program(executable) === undefined ? `${executable} was not built` : undefined,
    command: ({ iface, warmup, count, clock }) => ({
      argv: [program(executable), iface, warmup, count, ...more],
      env: clock ? { RINGTAP_BENCH_STAMPED: '1' } : {},
    }),
  };
}

/** A capture program of the system, as bench/peers/tool.mjs runs it under this name. */
export function tool(name, executable = name) {
  const paths = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  return {
    name,
    kind: 'tool',
    missing: paths.some((path) => existsSync(`${path}/${executable}`))
      ? undefined
      : `${executable} is not installed: npm run bench:setup`,
    command: ({ iface, warmup, count }) => ({ argv: [process.execPath, peer('tool'), name, iface, warmup, count] }),
  };
}

/** An npm package, by bench/peers/npm-<name>.mjs. */
export function npm(name) {
  const installed = existsSync(fileURLToPath(new URL(`../../build/bench-peers/node_modules/${name}`, import.meta.url)));
  return {
    name: `npm ${name}`,
    kind: 'tool',
    missing: installed ? undefined : `${name} is not installed: npm run bench:setup`,
    command: ({ iface, warmup, count }) => ({
      argv: [process.execPath, peer(`npm-${name}`), iface, warmup, count],
    }),
  };
}

const peer = (name) => fileURLToPath(new URL(`../peers/${name}.mjs`, import.meta.url));
