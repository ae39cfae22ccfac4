// A bump in the wire beside the kernel that forwards with nftables' NAT: three namespaces, A – here – B.
import { spawn, spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { countBusy } from '../lib/machine.mjs';
import { Pinned, program, READER_CORE, reader, SENDER_CORE } from '../lib/processes.mjs';
import { figure, range, reaches } from '../lib/report.mjs';
import { highestLossless } from '../lib/search.mjs';
import { spread } from '../lib/stats.mjs';

export const name = 'inline';
export const about = 'openInline() beside the kernel forwarding with nftables, and how much later packets come';

/** As ringtap-pktgen addresses its frames. */
const MAC = '02:00:00:00:00:02';
const CLIENT = '198.18.0.1';
const IN = '198.19.0.1';
const OUT = '198.20.0.1';
const SERVER = '198.20.0.2';
const RULE = `bench: m0 ${CLIENT} -> ${IN} => m1 ${OUT}/24 -> ${SERVER}`;
const CPU_GOALS = { afpacket: { most: 2.5 }, afxdp: { most: 0.7 } };
const RATE_GOAL = { least: 1 };
const TCP_GOAL = { least: 0.6 };
const ADDED_US = { afpacket: [60, 150], afxdp: [70, 200] };
const RATE = 100_000;
const LATENCY_RATE = 10_000;
const TCP_BYTES = 1e9;
const TCP_PORT = 5000;

export async function run(bench) {
  if (bench.wires === undefined) return bench.skip('inline', 'no lab');
  if (spawnSync('nft', ['--version']).status !== 0) return bench.skip('inline', 'nftables is not installed');
  const wire = await Wire.make();
  bench.onCleanUp(() => wire.close());
  for (const method of ['afpacket', 'afxdp']) {
    await bench.attempt(`inline by ${method}: processor time`, () => cost(bench, wire, method));
    await bench.attempt(`inline by ${method}: rate without loss`, () => rate(bench, wire, method));
    await bench.attempt(`inline by ${method}: latency`, () => latency(bench, wire, method));
  }
  await bench.attempt('inline by afpacket: TCP', () => tcp(bench, wire, 'afpacket'));
  wire.close();
}

const sh = (...[program, ...args]) => {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${[program, ...args].join(' ')}: ended (${status})\n${stderr}`);
  return stdout;
};

/** A namespace that is there as long as a process is. */
async function namespace() {
  const holder = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '-n', 'sleep', 'infinity'], { stdio: 'ignore' });
  const of = (pid) => readlinkSync(`/proc/${pid}/ns/net`);
  while (of(holder.pid) === of('self')) await sleep(5);
  return holder;
}

class Wire {
  #holders;
  #forwarder;

  static async make() {
    const wire = new Wire();
    wire.#holders = { a: await namespace(), b: await namespace() };
    const ends = { a: ['a0', 'm0', `${CLIENT}/24`], b: ['b0', 'm1', `${SERVER}/24`] };
    for (const [end, [there, here, address]] of Object.entries(ends)) {
      sh('ip', 'link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', String(wire.#holders[end].pid));
      sh('sysctl', '-qw', `net.ipv6.conf.${here}.disable_ipv6=1`);
      for (const command of [
        ['sysctl', '-qw', `net.ipv6.conf.${there}.disable_ipv6=1`],
        ['ip', 'address', 'add', address, 'dev', there],
        ['ip', 'link', 'set', there, 'up'],
      ])
        sh(...wire.at(end, ...command));
    }
    sh('ip', 'link', 'set', 'm0', 'address', MAC);
    for (const here of ['m0', 'm1']) sh('ip', 'link', 'set', here, 'up');
    // The client's frames are for an address on another network; and what has come to the server is not answered.
    sh(...wire.at('a', 'ip', 'route', 'add', `${IN}/32`, 'dev', 'a0'));
    for (const rule of ['add table ip raw', 'add chain ip raw in { type filter hook prerouting priority raw; }'])
      sh(...wire.at('b', 'nft', rule));
    sh(...wire.at('b', 'nft', 'add rule ip raw in udp dport 9 drop'));
    await sleep(500);
    return wire;
  }

  /** A command as it runs at one of the ends. */
  at(end, ...command) {
    return ['nsenter', '-t', String(this.#holders[end].pid), '-n', ...command.map(String)];
  }

  /** `kernel`, `nothing` (all is dropped as it comes), or a method of ours. */
  async forward(way) {
    await this.stop();
    if (way === 'kernel') {
      sh('ip', 'address', 'add', `${IN}/32`, 'dev', 'm0');
      sh('ip', 'route', 'add', `${CLIENT}/32`, 'dev', 'm0');
      sh('ip', 'address', 'add', `${OUT}/24`, 'dev', 'm1');
      sh('sysctl', '-qw', 'net.ipv4.ip_forward=1');
      sh(
        ...['nft', 'add table ip bench; add chain ip bench pre { type nat hook prerouting priority dstnat; }; '],
        `add rule ip bench pre ip daddr ${IN} dnat to ${SERVER}; `,
        ...['add chain ip bench post { type nat hook postrouting priority srcnat; }; '],
        `add rule ip bench post ip daddr ${SERVER} snat to ${OUT}`,
      );
      return;
    }
    if (way === 'nothing') {
      sh(
        'nft',
        'add table netdev bench; ',
        'add chain netdev bench in { type filter hook ingress device m0 priority 0; policy drop; }',
      );
      return;
    }
    this.#forwarder = new Pinned(READER_CORE, reader('inline', way, RULE));
    await this.#forwarder.ready;
  }

  async stop() {
    await this.#forwarder?.end();
    this.#forwarder = undefined;
    for (const family of ['ip', 'netdev']) spawnSync('nft', ['delete', 'table', family, 'bench']);
    for (const here of ['m0', 'm1']) spawnSync('ip', ['address', 'flush', 'dev', here]);
    sh('sysctl', '-qw', 'net.ipv4.ip_forward=0');
  }

  /** Sends frames of the smallest size. @returns { offered, lost, busyNs } busyNs: of all processors, a frame */
  async send(count, pps) {
    const generator = this.at(
      'a',
      program('ringtap-pktgen'),
      '--iface',
      'a0',
      '--wait',
      '--core',
      SENDER_CORE,
      '--count',
      count,
      '--rate',
      pps,
    );
    const from = new Pinned(SENDER_CORE, generator);
    await from.ready;
    const before = this.#arrived();
    const busy = countBusy();
    const sent = await from.ask('go');
    await sleep(50);
    const busyNs = busy() / count;
    await from.end();
    return { offered: sent.pps, lost: count - (this.#arrived() - before), busyNs };
  }

  #arrived() {
    const [{ stats64 }] = JSON.parse(sh(...this.at('b', 'ip', '-json', '-s', 'link', 'show', 'b0')));
    return stats64.rx.packets;
  }

  close() {
    this.#forwarder?.kill();
    for (const holder of Object.values(this.#holders)) holder.kill('SIGKILL');
  }
}

/** What forwarding takes, without what sending does. */
async function cost(bench, wire, method) {
  const { runs, seconds } = bench.profile.inline;
  const costs = { ours: [], peer: [] };
  const busy = async (way) => {
    await wire.forward(way);
    await wire.send(RATE / 10, RATE); // next hops are known by then
    return (await wire.send(RATE * seconds, RATE)).busyNs;
  };
  for (let i = 0; i < runs; i++) {
    const sending = await busy('nothing');
    costs.ours.push((await busy(method)) - sending);
    costs.peer.push((await busy('kernel')) - sending);
  }
  await wire.stop();
  bench.ratio(`inline by ${method}: processor time a packet, ${figure(RATE / 1000)} kpps`, {
    ...{ ...costs, peerName: 'kernel, nftables', unit: 'ns', goal: CPU_GOALS[method] },
  });
}

async function rate(bench, wire, method) {
  const { runs, seconds } = bench.profile.inline;
  const { precision, confirmations } = bench.profile.search;
  const found = { ours: [], peer: [] };
  const notes = new Set();
  for (let i = 0; i < runs; i++) {
    for (const [side, way] of Object.entries({ ours: method, peer: 'kernel' })) {
      await wire.forward(way);
      await wire.send(1000, 10_000);
      let last = RATE * 4;
      const trial = async (pps) => {
        const result = await wire.send(Math.round((pps || last) * seconds * 0.3), pps);
        last = result.offered;
        return result;
      };
      const { rate, isGeneratorLimited } = await highestLossless(trial, { precision, confirmations });
      if (isGeneratorLimited) notes.add(`${way}: the generator's limit`);
      found[side].push(rate / 1000);
    }
  }
  await wire.stop();
  bench.ratio(`inline by ${method}: highest rate without loss, frames of 64 bytes`, {
    ...{
      ...found,
      peerName: 'kernel, nftables',
      unit: 'kpps',
      goal: RATE_GOAL,
      note: [...notes].join('; ') || undefined,
    },
  });
}

/** Of frames that bear the time when they were sent: when they arrived behind the bump, less when they arrive before it. */
async function latency(bench, wire, method) {
  const { runs, seconds } = bench.profile.inline;
  const count = LATENCY_RATE * seconds;
  const measure = async (where, device) => {
    const command = reader('live', `afpacket:${device}?direction=in`, count / 10, count, '--arrival');
    const to = new Pinned(READER_CORE, where === 'here' ? command : wire.at(where, ...command));
    const from = new Pinned(
      SENDER_CORE,
      wire.at(
        'a',
        program('ringtap-pktgen'),
        '--iface',
        'a0',
        '--wait',
        '--stamp',
        '--core',
        SENDER_CORE,
        '--count',
        count * 1.1,
        '--rate',
        LATENCY_RATE,
      ),
    );
    await Promise.all([to.ready, from.ready]);
    const result = to.result();
    await from.ask('go');
    to.tell('sent');
    const { latency } = await result;
    await Promise.all([to.end(), from.end()]);
    return latency;
  };
  const added = { p50: [], p99: [] };
  for (let i = 0; i < runs; i++) {
    await wire.forward(method);
    await wire.send(1000, 10_000);
    const behind = await measure('b', 'b0');
    await wire.stop();
    const before = await measure('here', 'm0');
    for (const key of Object.keys(added)) added[key].push(behind[key] - before[key]);
  }
  const [half, most] = ADDED_US[method];
  bench.add({
    what: `inline by ${method}: time that it adds, ${figure(LATENCY_RATE / 1000)} kpps`,
    figures: { '99 %': `${range(spread(added.p99))} µs` },
    result: `${range(spread(added.p50))} µs`,
    n: runs,
    goal: { most: half },
    pass: reaches(spread(added.p50).median, { most: half }) && reaches(spread(added.p99).median, { most }),
    runs: added,
  });
}

/** One connection, with all offloads as they are. */
async function tcp(bench, wire, method) {
  const { runs } = bench.profile.inline;
  const found = { ours: [], peer: [] };
  for (let i = 0; i < runs; i++) {
    for (const [side, way] of Object.entries({ ours: method, peer: 'kernel' })) {
      await wire.forward(way);
      found[side].push(await transferred(wire));
    }
  }
  await wire.stop();
  bench.ratio(`inline by ${method}: TCP, one connection`, {
    ...{ ...found, peerName: 'kernel, nftables', unit: 'Gbit/s', goal: TCP_GOAL },
  });
}

/** Gbit/s. */
async function transferred(wire) {
  const node = (end, script) =>
    spawn(...split(wire.at(end, process.execPath, '-e', script)), { stdio: ['ignore', 'pipe', 'inherit'] });
  const server = node(
    'b',
    `require('net').createServer((s) => s.resume().on('end', () => s.end())).listen(${TCP_PORT}, () => console.log('listens'))`,
  );
  await new Promise((resolve) => server.stdout.once('data', resolve));
  const client = node(
    'a',
    `const chunk = Buffer.alloc(1 << 20); let left = ${TCP_BYTES};
     const socket = require('net').connect(${TCP_PORT}, '${IN}', () => { const begin = performance.now();
       const more = () => { while (left > 0) { left -= chunk.length; if (!socket.write(chunk)) return socket.once('drain', more); } socket.end(); };
       socket.resume().on('close', () => { console.log(${TCP_BYTES} * 8 / (performance.now() - begin) / 1e6); }); more(); });`,
  );
  const text = await new Promise((resolve) => client.stdout.once('data', resolve));
  server.kill();
  return Number(text);
}

const split = ([program, ...args]) => [program, args];
