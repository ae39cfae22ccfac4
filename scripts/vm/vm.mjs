// A guest with NICs on PCI: `npm run lab:vm -- [options] -- <command…>` boots a machine in software, runs the command in
// it and is gone. Drivers of real NICs, zero copy and DPDK on PCI can be tried where there is no such hardware.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { constants } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeInitrd } from './initrd.mjs';
import { cache, KERNELS, kernel, qemu, requirePrograms } from './packages.mjs';

const USAGE = `usage: npm run lab:vm -- [options] [--] <command> [arguments…]

Boots a guest (QEMU, in software: no rights and no hardware needed, and no speed to be had), runs the command in it as
root and in this directory, passes its output on and exits with its exit code. Ctrl-C ends the guest at once.

  --nic DEVICE      a NIC: igb, e1000e, e1000, vmxnet3, virtio-net-pci; properties of QEMU follow after commas. Up to 8 times.
                    NIC i is nic<i> in the guest, wired to an interface peer<i> that frames can be sent from;
                    the cable loses nothing. Default: virtio-net-pci
  --kernel SERIES   ${KERNELS.join(' or ')} (default ${KERNELS[0]})
  --cpus N          1 to 16 (default 2)
  --memory MB       256 to 65536 (default 2048)
  --hugepages N     of 2 MB each (default 0)
  --iommu KIND      none (default) or intel, which vfio-pci needs
  --share FOLDER    visible as /share, and the one place where the guest can write to the host (default: gone afterwards)

The guest sees this machine's files, read-only under a layer of memory: its programs, and this project as it is built.
Everything comes from Debian packages, kept in ${cache}.`;

// Device → its driver in the guest.
const DRIVERS = { igb: 'igb', e1000e: 'e1000e', e1000: 'e1000', vmxnet3: 'vmxnet3', 'virtio-net-pci': 'virtio_net' };
// What makes QEMU have one, and the kernel use it.
const IOMMUS = {
  none: { device: [], boot: '' },
  intel: { device: ['-device', 'intel-iommu,intremap=on'], boot: ' intel_iommu=on' },
};
const BOOT_TIMEOUT = 300_000;
const here = dirname(fileURLToPath(import.meta.url));

function integer(name, text, min, max) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max || text === '') {
    throw new Error(`--${name}: expected ${min} to ${max}, got '${text ?? ''}'`);
  }
  return value;
}

function parse(argv) {
  const options = {
    nics: [],
    kernel: KERNELS[0],
    cpus: 2,
    memory: 2048,
    hugepages: 0,
    iommu: 'none',
    share: undefined,
  };
  const readers = {
    '--nic': (text) => {
      const [device] = (text ?? '').split(',');
      if (!(device in DRIVERS)) {
        throw new Error(`--nic: expected one of ${Object.keys(DRIVERS).join(', ')}, got '${device}'`);
      }
      if (options.nics.push(text) > 8) throw new Error('--nic: at most 8');
    },
    '--kernel': (text) => {
      if (!KERNELS.includes(text)) throw new Error(`--kernel: expected ${KERNELS.join(' or ')}, got '${text ?? ''}'`);
      options.kernel = text;
    },
    '--cpus': (text) => {
      options.cpus = integer('cpus', text, 1, 16);
    },
    '--memory': (text) => {
      options.memory = integer('memory', text, 256, 65536);
    },
    '--hugepages': (text) => {
      options.hugepages = integer('hugepages', text, 0, 32768);
    },
    '--iommu': (text) => {
      if (!(text in IOMMUS))
        throw new Error(`--iommu: expected ${Object.keys(IOMMUS).join(' or ')}, got '${text ?? ''}'`);
      options.iommu = text;
    },
    '--share': (text) => {
      if (!text) throw new Error('--share: expected a folder');
      options.share = resolve(text);
    },
  };
  let i = 0;
  for (; i < argv.length && argv[i].startsWith('-'); i += 2) {
    if (argv[i] === '--help' || argv[i] === '-h') return { help: true };
    if (argv[i] === '--') {
      i++;
      break;
    }
    const read = readers[argv[i]];
    if (read === undefined) throw new Error(`unknown option ${argv[i]}`);
    read(argv[i + 1]);
  }
  if (options.nics.length === 0) options.nics.push('virtio-net-pci');
  if (options.hugepages * 2 + 128 > options.memory) {
    throw new Error(`--hugepages: ${options.hugepages} need more than the ${options.memory} MB of --memory`);
  }
  return { options, command: argv.slice(i) };
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// The descriptors of QEMU's process that lead to this one, and the port of the guest at the other end.
const PORTS = { out: 3, err: 4, state: 5 };
const FIRST_CABLE = 6;

/**
 * Pairs of connected sockets for QEMU: the cables.
 * WHY made here: where QEMU listens itself, its end blocks. A NIC that sends faster than the peer takes then stops QEMU
 * for ever, in the middle of a write that only QEMU could read.
 */
async function cables(count, folder) {
  const ends = [];
  for (let i = 0; i < count; i++) {
    const server = createServer({ pauseOnConnect: true }).listen(join(folder, `cable${i}`));
    await once(server, 'listening');
    const client = connect({ path: join(folder, `cable${i}`) });
    const [accepted] = await once(server, 'connection');
    if (client.connecting) await once(client, 'connect');
    server.close();
    ends.push(accepted, client);
  }
  return ends;
}

/** Each NIC joined to a virtio one by a unix stream, which loses nothing; a UDP cable does. */
function nicArguments(nics) {
  return nics.flatMap((nic, i) => {
    const cable = (id, end) => `stream,id=${id},server=off,addr.type=fd,addr.str=${FIRST_CABLE + 2 * i + end}`;
    const mac = (end) => `mac=52:54:00:00:0${i}:0${end}`;
    const slot = (base) => `addr=0x${(base + i).toString(16)}`;
    // igb's VFs need PCI Express, which q35 has behind root ports only.
    const express = nic.startsWith('igb');
    const port = express ? ['-device', `pcie-root-port,id=port${i},chassis=${i + 1},${slot(16)}`] : [];
    return [
      ...port,
      '-netdev',
      cable(`nic${i}`, 0),
      '-device',
      `${nic},netdev=nic${i},${mac(1)},romfile=,${express ? `bus=port${i}` : slot(16)}`,
      '-netdev',
      cable(`peer${i}`, 1),
      '-device',
      `virtio-net-pci,netdev=peer${i},${mac(2)},romfile=,${slot(24)}`,
    ];
  });
}

function qemuArguments({ image, initrd, options, folder, share }) {
  const files = (id, path, mode) => [
    '-fsdev',
    `local,id=${id},path=${path},security_model=none,multidevs=remap${mode}`,
    '-device',
    `virtio-9p-pci,fsdev=${id},mount_tag=${id}`,
  ];
  return [
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'max'],
    ...['-smp', String(options.cpus), '-m', String(options.memory)],
    ...IOMMUS[options.iommu].device,
    ...['-nodefaults', '-display', 'none', '-no-reboot', '-serial', `file:${join(folder, 'console')}`],
    ...['-kernel', image, '-initrd', initrd],
    '-append',
    `console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr tsc=reliable${IOMMUS[options.iommu].boot} ringtap.run=${folder}`,
    ...files('host', '/', ',readonly=on'),
    ...files('share', share, ''),
    ...['-device', 'virtio-serial-pci'],
    ...Object.entries(PORTS).flatMap(([name, fd], i) => [
      ...['-chardev', `socket,id=${name},fd=${fd}`],
      ...['-device', `virtserialport,chardev=${name},nr=${i + 1}`],
    ]),
    ...nicArguments(options.nics),
  ];
}

/** What guest.sh and the command need to know. */
function writeRun(folder, { modules, release, options, command }) {
  copyFileSync(join(here, 'guest.sh'), join(folder, 'guest.sh'));
  const drivers = new Set(['virtio_net', ...options.nics.map((nic) => DRIVERS[nic.split(',')[0]])]);
  writeFileSync(
    join(folder, 'settings.sh'),
    `modules=${quoted(join(modules, 'lib/modules', release))}
drivers=${quoted([...drivers].join(' '))}
hugepages=${options.hugepages}\n`,
  );
  const environment = { PATH: process.env.PATH, HOME: process.env.HOME, RINGTAP_VM: '1' };
  const lines = Object.entries(environment).map(([name, value]) => `export ${name}=${quoted(value ?? '')}`);
  writeFileSync(
    join(folder, 'command.sh'),
    `${lines.join('\n')}\ncd ${quoted(process.cwd())}\nexec ${command.map(quoted).join(' ')}\n`,
  );
}

/** Runs QEMU to the command's end; its exit code. `ends`: as cables() makes them. */
function boot(file, args, folder, ends) {
  return new Promise((resolve, reject) => {
    // pdeathsig: the guest must not outlive this process, however that ends.
    const stdio = ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', ...ends];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', file, ...args], { stdio });
    for (const end of ends) end.destroy(); // QEMU has them
    let result;
    let problem = '';
    const finish = (value) => {
      result ??= value;
      child.kill('SIGKILL');
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    const interrupted = (signal) => finish({ code: 128 + constants.signals[signal] });
    for (const signal of signals) process.on(signal, interrupted);
    const late = setTimeout(() => finish({ error: 'the guest did not come up' }), BOOT_TIMEOUT);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data) => {
        problem += data;
      });
    }
    child.stdio[PORTS.out].pipe(process.stdout, { end: false });
    child.stdio[PORTS.err].pipe(process.stderr, { end: false });
    for (const fd of Object.values(PORTS)) child.stdio[fd].on('error', () => {});
    let state = '';
    child.stdio[PORTS.state].on('data', (data) => {
      state += data;
      const ready = state.match(/^ready (.*)\n/);
      if (ready) clearTimeout(late);
      const exit = state.match(/^exit (\d+)\n/m);
      if (exit) finish({ code: Number(exit[1]) });
    });
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(late);
      for (const signal of signals) process.off(signal, interrupted);
      if (result?.code !== undefined) return resolve(result.code);
      const shown = existsSync(join(folder, 'console')) ? readFileSync(join(folder, 'console'), 'utf8') : '';
      const tail = shown
        .replace(/\n[^\n]*Call Trace.*/s, '')
        .trimEnd()
        .split('\n')
        .slice(-20)
        .join('\n');
      reject(new Error(`${result?.error ?? 'the guest stopped'}\n${problem}${tail}`));
    });
  });
}

async function runInGuest({ options, command }) {
  requirePrograms();
  mkdirSync(cache, { recursive: true });
  const [file, ...firmware] = await qemu();
  const { release, image, modules } = await kernel(options.kernel);
  const folder = mkdtempSync(join(cache, 'run-'));
  try {
    const initrd = join(folder, 'initrd');
    makeInitrd({ release, modules }, initrd);
    const share = options.share ?? join(folder, 'share');
    mkdirSync(share, { recursive: true });
    writeRun(folder, { modules, release, options, command });
    const args = qemuArguments({ image, initrd, options, folder, share });
    return await boot(file, [...firmware, ...args], folder, await cables(options.nics.length, folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main() {
  let parsed;
  try {
    parsed = parse(process.argv.slice(2));
  } catch (error) {
    console.error(`lab:vm: ${error.message}\n\n${USAGE}`);
    return 2;
  }
  if (parsed.help || parsed.command.length === 0) {
    (parsed.help ? console.log : console.error)(USAGE);
    return parsed.help ? 0 : 2;
  }
  try {
    return await runInGuest(parsed);
  } catch (error) {
    console.error(`lab:vm: ${error.message}`);
    return 1;
  }
}

process.exitCode = await main();
