// Many clients behind one address, balancers that speak GENEVE, and taps that are read as batches.
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { type Capture, type InlineStats, open, openInline } from 'ringtap';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  type Bump,
  CLIENT,
  closeBump,
  datagram,
  echo,
  IN,
  makeBump,
  OUT,
  offload,
  RULE,
  SERVER,
  transfer,
} from '../support/bump.js';
import { temporaryFolder } from '../support/folder.js';
import { lab } from '../support/lab.js';
import { failure, readAll } from '../support/packets.js';
import { until } from '../support/wait.js';

const CLIENTS = 50;
const NAT = `many: nat m0 10.81.0.0/24 -> ${IN}/24 => m1 ${OUT}/24 -> ${SERVER}`;
const NAT6 = 'six: nat m0 any -> fd81::5 => m1 fd82::5 -> fd82::2';
const HOST = '10.81.0.9';
const index = new URL('../../dist/index.js', import.meta.url).href;
const run = (...args: string[]) => execFileSync(args[0]!, args.slice(1), { stdio: 'pipe' }).toString();

function expectBalanced({ rules }: InlineStats): void {
  for (const { name, toServer, toClient } of rules) {
    for (const way of [toServer, toClient]) {
      expect(way.ingress, `${name} ${JSON.stringify(way)}`).toBe(way.egress + way.dropped + way.waiting);
    }
  }
}

/** Answers over TCP and UDP with whom it sees, and what that one says. */
const SERVE = `
  const tcp = require('net').createServer((socket) => {
    const from = socket.remoteAddress.replace('::ffff:', '') + ' ' + socket.remotePort;
    socket.on('data', (data) => socket.write(from + ' ' + data)).on('error', () => {});
  });
  const udp = require('dgram').createSocket('udp6');
  udp.on('message', (data, { address, port }) =>
    udp.send(Buffer.concat([Buffer.from(address.replace('::ffff:', '') + ' ' + port + ' '), data]), port, address));
  tcp.listen(5000, '::', () => udp.bind(7, '::', () => console.log('listens')));`;

/** All clients at once, each with the same ports and the same id. Prints what each has heard. */
const SPEAK = `
import json, socket, struct
clients = ['10.81.0.%d' % (100 + i) for i in range(${CLIENTS})]
def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
def opened(kind, protocol, address, port, to):
    one = socket.socket(socket.AF_INET, kind, protocol)
    one.settimeout(8)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((address, port))
    one.connect(('${IN}', to))
    return one
tcp = [opened(socket.SOCK_STREAM, 0, one, 40000, 5000) for one in clients]
udp = [opened(socket.SOCK_DGRAM, 0, one, 40001, 7) for one in clients]
refused = [opened(socket.SOCK_DGRAM, 0, one, 40002, 9) for one in clients]
icmp = [opened(socket.SOCK_RAW, socket.IPPROTO_ICMP, one, 0, 0) for one in clients]
for i in range(${CLIENTS}):
    tcp[i].send(b'tcp %d' % i)
    udp[i].send(b'udp %d' % i + b'.' * (4000 if i < 4 else 0))
    refused[i].send(b'x')
    body = struct.pack('!HH', 7, 1) + b'ping %03d' % i
    icmp[i].send(struct.pack('!BBH', 8, 0, checksum(b'\\x08\\x00\\x00\\x00' + body)) + body)
def closed(one):
    try:
        one.recv(100)
        return 'answered'
    except ConnectionRefusedError:
        return 'refused'
def echoed(one):
    while True:
        data = one.recv(9000)[20:]
        if data[0] == 0:
            return [struct.unpack('!H', data[4:6])[0], data[8:].decode()]
print(json.dumps([[tcp[i].recv(9000).decode(), udp[i].recv(9000).decode().rstrip('.'), closed(refused[i]), echoed(icmp[i])]
    for i in range(${CLIENTS})]))`;

/** Addresses and ports of TCP and UDP over IPv4, as they stand in a frame. */
function flowOf(data: Buffer): string | undefined {
  const fragment = data.readUInt16BE(20) & 0x1fff;
  if (data.readUInt16BE(12) !== 0x0800 || ![6, 17].includes(data[23]!) || fragment !== 0) return undefined;
  const [from, to] = [data.subarray(26, 30).join('.'), data.subarray(30, 34).join('.')];
  return `${from}:${data.readUInt16BE(34)} > ${to}:${data.readUInt16BE(36)}`;
}

/** Everything that a tap has, once the forwarder is closed. */
async function packetsOf(capture: Capture): Promise<Buffer[]> {
  const packets: Buffer[] = [];
  for await (const batch of capture) for (let i = 0; i < batch.length; i++) packets.push(Buffer.from(batch.data(i)));
  return packets;
}

const METHODS = ['afpacket', 'afxdp'] as const;

describe.skipIf(lab === null)('inline for many', () => {
  let bump: Bump;
  const file = temporaryFolder();
  beforeAll(async () => {
    bump = await makeBump();
    const add = `for i in $(seq 100 ${99 + CLIENTS}); do echo "address add 10.81.0.$i/24 dev a0"; done | ip -batch -`;
    bump.client.run('sh', '-c', add);
    bump.server.run('sysctl', '-qw', 'net.ipv4.icmp_ratemask=0'); // all of them are one host to it
    run('ip', 'address', 'add', `${HOST}/24`, 'dev', 'm0');
  });
  afterAll(() => closeBump(bump));

  test.each(METHODS)(
    '%s: fifty clients with the same ports speak with a server at once, by TCP, UDP, in fragments, and by echoes',
    async (method) => {
      const trace = file(`${method}.pcapng`);
      await using inline = await openInline(`${NAT}\n${NAT6}`, {
        method,
        capture: { ingress: true, egress: { bufferBytes: 2 ** 20 }, inline: trace },
      });
      const { child } = await bump.server.serve(SERVE);
      onTestFinished(() => void child.kill());
      const packets = Promise.all([packetsOf(inline.taps.ingress!), packetsOf(inline.taps.egress!)]);
      const heard = JSON.parse(bump.client.run('python3', '-c', SPEAK)) as [string, string, string, [number, string]][];
      const [tcpPorts, udpPorts] = [new Set<string>(), new Set<string>()];
      for (const [i, [tcp, udp, refused, echoed]] of heard.entries()) {
        expect(tcp).toMatch(new RegExp(`^${OUT} \\d+ tcp ${i}$`));
        expect(udp).toMatch(new RegExp(`^${OUT} \\d+ udp ${i}$`));
        expect(refused).toBe('refused');
        expect(echoed).toEqual([7, `ping ${String(i).padStart(3, '0')}`]);
        tcpPorts.add(tcp.split(' ')[1]!);
        udpPorts.add(udp.split(' ')[1]!);
      }
      expect([heard.length, tcpPorts.size, udpPorts.size]).toEqual([CLIENTS, CLIENTS, CLIENTS]);
      expect(tcpPorts).toContain('40000'); // of who came first
      expect(await datagram(bump.client, 'fd81::5', 7, 4)).toBe('answer 18');

      const stats = inline.stats();
      expectBalanced(stats);
      const [many, six] = stats.rules;
      expect(many!.nat).toEqual({ entries: CLIENTS * 4, clients: CLIENTS, created: CLIENTS * 4, expired: 0 });
      expect(six!.nat).toMatchObject({ entries: 1, clients: 1 });
      expect([many!.toServer.dropped, many!.toClient.dropped]).toEqual([0, 0]);
      await inline.close();
      const [ingress, egress] = await packets;
      const { toServer, toClient } = inline.stats().rules[0]!;
      const six2 = inline.stats().rules[1]!;
      expect(ingress.length).toBe(toServer.ingress + toClient.ingress + six2.toServer.ingress + six2.toClient.ingress);
      expect(inline.taps.ingress!.stats()).toMatchObject({ delivered: ingress.length, dropped: 0, pending: 0 });
      expect(inline.stats().taps.egress).toMatchObject({ delivered: egress.length, dropped: 0 });
      expect(new Set(egress.map(flowOf))).toContain(`${SERVER}:5000 > 10.81.0.100:40000`.replace(SERVER, IN));
      // As if nobody were between: each client with his own port, and the server.
      await using capture = await open(`file:${trace}`);
      const flows = new Set((await readAll(capture)).map(({ data }) => flowOf(data)));
      for (let i = 0; i < CLIENTS; i++) {
        for (const [port, server] of [
          [40000, 5000],
          [40001, 7],
        ]) {
          expect(flows).toContain(`10.81.0.${100 + i}:${port} > ${SERVER}:${server}`);
          expect(flows).toContain(`${SERVER}:${server} > 10.81.0.${100 + i}:${port}`);
        }
      }
    },
  );

  test('a table that is full, a client who has too much, and ports that are used up are counted, until their time is over', async () => {
    const rule = `${NAT} ports 30000-30002 entries 4 per-client 2 udp 700ms`;
    await using inline = await openInline(rule, { probe: false });
    const { child } = await echo(bump.server);
    onTestFinished(() => void child.kill());
    const heard = bump.client.run(
      'python3',
      '-c',
      `
import socket, time
def opened(address, to):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.settimeout(1)
    one.bind((address, 0))
    one.connect(('${IN}', to))
    one.send(b'x')
    return one
def heard(one):
    try:
        return 'answer' if one.recv(9) == b'x' else 'rubbish'
    except OSError as error:
        return 'nothing'
def at(who, to=7): return heard(opened('10.81.0.%d' % who, to))
first = [at(100), at(100)]
alive = opened('10.81.0.101', 7)
heard(alive)
none = [opened('10.81.0.100', 7), opened('10.81.0.102', 7)]
other = opened('10.81.0.102', 8)
full = opened('10.81.0.103', 9)
time.sleep(1)
print(first, at(103), at(103))`,
    );
    expect(heard.trim()).toBe("['answer', 'answer'] answer answer");
    const [many] = inline.stats().rules;
    expect(many!.toServer.drops).toMatchObject({ clientFull: 1, noPort: 1, tableFull: 1 });
    expect(many!.nat!.expired).toBeGreaterThanOrEqual(4);
    await until(() => inline.stats().rules[0]!.nat!.entries === 0, 'the rest to be over');
    expectBalanced(inline.stats());
  });

  test.each(METHODS)(
    '%s: GENEVE goes back to its balancer with its options, the inner packet is shown, and health checks are answered',
    async (method) => {
      const rule = `gw: geneve m0 10.81.0.0/24 -> ${HOST} health 8080`;
      await using inline = await openInline(rule, { method, capture: { inline: true } });
      const before = bump.client.counter('Icmp', 'InDestUnreachs');
      const said = await bump.client.node(`
      const options = '0108010211111111222222220108020233333333444444440108030155555555';
      const inner = '450000200001000040116ec40101010102020202' + '0001000200' + '0c0000' + '74657374';
      const header = (words, version = 0) => (version << 6 | words).toString(16).padStart(2, '0') + '0008000000ab00';
      const good = Buffer.from(header(8) + options + inner, 'hex'), bad = Buffer.from(header(8, 1) + options + inner, 'hex');
      const dgram = require('dgram'), [from, to] = [dgram.createSocket('udp4'), dgram.createSocket('udp4')];
      let came = 0;
      to.on('message', (data, { address, port }) => {
        if (!data.equals(good) || ++came < 20) return;
        const http = require('http').get('http://${HOST}:8080/health', async ({ statusCode }) => {
          console.log(came, address, port, statusCode); process.exit(); });
      });
      to.bind(6081, '${CLIENT}', () => from.bind(40000, '${CLIENT}', () => {
        from.send(bad, 6081, '${HOST}');
        for (let i = 0; i < 20; i++) from.send(good, 6081, '${HOST}');
      }));
      setTimeout(() => process.exit(), 5000);`);
      expect(said).toBe(`20 ${HOST} 40000 200`);
      // What is no GENEVE stays the host's, who has nobody at that port.
      expect(await datagram(bump.client, HOST, 9, 4)).toBe('ECONNREFUSED');
      expect(bump.client.counter('Icmp', 'InDestUnreachs')).toBe(before + 1);
      expect(await failure(() => openInline(rule.replace(/health.*/, ''), { method }))).toMatchObject({
        code: 'RINGTAP_BUSY',
      });
      const heard = await failure(() => openInline(rule, { method }));
      expect(heard).toMatchObject({
        code: 'RINGTAP_BUSY',
        message: expect.stringContaining(method === 'afxdp' ? 'another XDP program' : 'health checks at'),
      });
      const { toServer } = inline.stats().rules[0]!;
      expect(toServer).toMatchObject({ ingress: 21, egress: 20, dropped: 1, drops: { geneve: 1 } });
      await inline.close();
      await expect(once(createConnection(8080, HOST), 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      const inner = await packetsOf(inline.taps.inline!);
      expect(inner).toHaveLength(20);
      expect(inner[0]!.subarray(14).toString('hex')).toBe(
        '450000200001000040116ec401010101020202020001000200' + '0c0000' + '74657374',
      );
      const missing = await failure(() => openInline('gw: geneve m0 any -> 10.81.0.77'));
      expect(missing).toMatchObject({ code: 'RINGTAP_BAD_OPTION', hint: expect.stringContaining('ip address add') });
      const taken = await failure(() => openInline(`${rule}\nsame: ${rule.slice(4)}`));
      expect(taken).toMatchObject({ code: 'RINGTAP_BAD_OPTION', message: expect.stringContaining('"gw" and "same"') });
    },
  );

  test('a reader who does not read loses packets of his tap, counted to the packet, and holds nothing up', async () => {
    await using inline = await openInline(NAT, { capture: { ingress: { bufferBytes: 2 ** 20 } }, probe: false });
    const { child } = await echo(bump.server);
    onTestFinished(() => void child.kill());
    expect(await datagram(bump.client, IN, 7, 4)).toBe('answer 4'); // the next hops are known now
    await bump.client.node(`
      const socket = require('dgram').createSocket('udp4');
      let sent = 0;
      const next = () => { if (sent++ === 1500) return socket.close(); socket.send(Buffer.alloc(1400), 9, '${IN}', () => setImmediate(next)); };
      socket.on('error', () => {}).bind(0, '${CLIENT}', next);`);
    const { toServer, toClient } = inline.stats().rules[0]!;
    expect(toServer).toMatchObject({ ingress: 1501, egress: 1501, dropped: 0 });
    const lost = inline.taps.ingress!.stats();
    expect(lost.received).toBe(toServer.ingress + toClient.ingress);
    expect(lost.drops.ring).toBe(lost.dropped);
    expect(lost.dropped).toBeGreaterThan(700);
    await inline.close();
    const packets = await packetsOf(inline.taps.ingress!);
    expect(packets.length).toBe(lost.received - lost.dropped);
    expect(inline.stats().taps.ingress).toMatchObject({ delivered: packets.length, pending: 0 });
  });

  test('two forwarders with one address notice each other, and the second one may come when the first is gone', async () => {
    const first = await openInline(RULE, { probe: false });
    const busy = await failure(() => openInline(RULE.replace('web', 'two'), { probe: false }));
    expect(busy).toMatchObject({ code: 'RINGTAP_BUSY', message: expect.stringContaining(IN) });
    const other = `other: m0 ${CLIENT} -> 10.81.0.6 => m1 10.82.0.6 -> ${SERVER}`;
    await using second = await openInline(other, { probe: false });
    expect(await failure(() => second.rules.set(`${other}\n${NAT}`))).toMatchObject({ code: 'RINGTAP_BUSY' });
    expect(second.rules.list().map(({ name }) => name)).toEqual(['other']);
    await first.close();
    await second.rules.set(NAT);
    await second.rules.set(`${other}\n${NAT}`);
    // With every checksum on the wire as it will be looked at.
    offload(bump, 'off');
    onTestFinished(() => offload(bump, 'on'));
    const { seen, sent } = await transfer(bump, 2 ** 21);
    expect(seen).toBe(`${OUT} ${sent}`);
    expectBalanced(second.stats());
  });

  test.each<[string, RegExp]>([
    ['net_raw', /CAP_NET_RAW/],
    ['net_admin,-sys_admin', /CAP_NET_ADMIN/],
    ['bpf,-sys_admin', /CAP_BPF/],
  ])('without the right %s it says which one is missing', (right, message) => {
    const script = `import('${index}').then(({ openInline }) => openInline(${JSON.stringify(RULE)}, { probe: false }))
      .then(() => console.log('{}'), ({ code, message, hint }) => console.log(JSON.stringify({ code, message, hint })))
      .then(() => process.exit());`;
    const rights = `-${right}`;
    const { stdout } = spawnSync('setpriv', ['--bounding-set', rights, process.execPath, '-e', script], {
      encoding: 'utf8',
    });
    const error = JSON.parse(stdout);
    expect(error.code).toBe('RINGTAP_NO_PERMISSION');
    expect(error.message + error.hint).toMatch(message);
  });
});
