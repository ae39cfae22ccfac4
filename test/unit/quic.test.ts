// QUIC: Initial packets that node:crypto has made, as we read them and as tshark does.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { open } from 'ringtap';
import { type Event, FlowMeter } from 'ringtap/flow';
import { describe, expect, test } from 'vitest';
import { lines, ringtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { clientHello, crypto, type InitialFields, initial, QUIC_2, serverHello } from '../support/quic.js';
import { bytes, ethernet, ipv4, ipv6, udp, writePcap } from '../support/trace.js';

const path = temporaryFolder();
type Quic = Extract<Event, { event_type: 'quic' }>;

/** What goes over the wire in one connection. */
type Datagram = Uint8Array | { back: Uint8Array };

let ports = 40_000;
function frames(datagrams: readonly Datagram[], port = 443, over6 = false): Buffer[] {
  const own = ports++;
  return datagrams.map((datagram) => {
    const back = 'back' in datagram;
    const inner = back ? udp(port, own, datagram.back) : udp(own, port, datagram);
    if (over6) return ethernet(0x86dd, ipv6({ next: 17 }, inner));
    const [source, destination] = back ? ['10.0.0.2', '10.0.0.1'] : ['10.0.0.1', '10.0.0.2'];
    return ethernet(0x0800, ipv4({ protocol: 17, source, destination }, inner));
  });
}

let files = 0;
function traceOf(packets: readonly Uint8Array[]): string {
  const file = path(`${++files}.pcap`);
  writePcap(
    file,
    packets.map((data) => ({ data })),
  );
  return file;
}

async function told(file: string): Promise<Quic[]> {
  const meter = new FlowMeter({ protocols: ['quic'] });
  await using capture = await open(`file:${file}`, { batchSize: 3 });
  for await (const batch of capture) meter.add(batch);
  meter.flush();
  return [...meter.events()].filter((event): event is Quic => event.event_type === 'quic');
}

const id = (of: number) => Buffer.alloc(8, of);
const keyId = id(1);
const otherId = id(99);
const short = Buffer.concat([Buffer.from([0x41]), Buffer.alloc(60, 3)]);

/** Pieces of a hello, `size` bytes each, in frames of their own. */
function pieces(hello: Uint8Array, size: number): Buffer[] {
  const out: Buffer[] = [];
  for (let at = 0; at < hello.length; at += size) out.push(crypto(at, hello.subarray(at, at + size)));
  return out;
}

function connection(name: string, fields: Partial<InitialFields> = {}, alpn = 'h3'): Datagram[] {
  return [
    initial({ keyId, padTo: 1162, ...fields }, crypto(0, clientHello(name, 0, alpn))),
    {
      back: initial(
        { keyId, destination: Buffer.alloc(0), source: otherId, ...fields, ofServer: true },
        crypto(0, serverHello()),
      ),
    },
    short,
  ];
}

/** tshark's text of a field of each ClientHello or ServerHello. */
function tshark(file: string, filter: string, ...fields: string[]): string[][] {
  const argv = ['-n', '-r', file, '-Y', filter, '-T', 'fields', ...fields.flatMap((field) => ['-e', field])];
  const out = execFileSync('tshark', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return lines(out).map((line) => line.split('\t'));
}

describe('QUIC', () => {
  const [long, small] = [clientHello('long.example', 2200), clientHello('small.example')];
  const [first, second, third] = pieces(long, 900) as [Buffer, Buffer, Buffer];
  const parts = pieces(small, 100);
  const cases = [
    frames(connection('one.example')),
    frames(connection('two.example', { version: QUIC_2, keyId: id(2) }, 'doq')),
    frames(connection('port.example', { keyId: id(3) }), 7777),
    // The client alone, in IPv6.
    frames(connection('six.example', { keyId: id(4) }).slice(0, 1), 443, true),
    frames(connection('token.example', { keyId: id(5), token: Buffer.alloc(70, 1), number: 5, numberBytes: 1 })),
    // A hello over three datagrams, and these in another order.
    ...[
      [0, 1, 2],
      [2, 0, 1],
    ].map((order, i) =>
      frames(
        order.map((number) => initial({ keyId: id(6 + i), number, padTo: 1162 }, [first, second, third][number]!)),
      ),
    ),
    // Frames that are turned round, and twice, in one packet.
    frames([initial({ keyId: id(8), padTo: 1162 }, bytes(...pieces(small, 50).reverse(), 1, ...pieces(small, 77)))]),
    // Two packets in a datagram.
    frames([
      bytes(
        initial({ keyId: id(9), number: 0 }, parts[0]!),
        initial({ keyId: id(9), number: 1, padTo: 900 }, bytes(...parts.slice(1))),
      ),
    ]),
  ];

  test('is read as tshark reads it: versions, tokens, numbers, and pieces in any order', async () => {
    const file = traceOf(cases.flat());
    const events = (await told(file)).sort((a, b) => a.src_port! - b.src_port!);
    const number = (version: string) => `0x${version.padStart(8, '0')}`;
    const offered = ['quic.version', 'tls.handshake.extensions_server_name', 'tls.handshake.extensions_alpn_str'];
    // Versions are those of all packets of a datagram.
    const clients = tshark(file, 'tls.handshake.type == 1', 'udp.srcport', ...offered, 'tls.handshake.ja3');
    expect(clients.map(([port, version, ...rest]) => [port, version!.split(',')[0], ...rest])).toEqual(
      events.map(({ src_port, quic }) => [
        ...[`${src_port}`, number(quic.version), quic.sni, quic.client_alpns?.join(','), quic.ja3?.hash],
      ]),
    );
    const servers = tshark(
      file,
      'tls.handshake.type == 2',
      'udp.dstport',
      'tls.handshake.ciphersuite',
      'tls.handshake.ja3s',
    );
    expect(servers).toEqual(
      events
        .filter(({ quic }) => quic.cipher)
        .map(({ src_port, quic }) => [`${src_port}`, quic.cipher, quic.ja3s?.hash]),
    );
    expect([clients.length, servers.length]).toEqual([9, 4]);
    expect(events.filter(({ quic }) => quic.refused !== undefined)).toEqual([]);
  });

  test('has a JA4 that begins with q', async () => {
    const [event] = await told(traceOf(cases[0]!));
    const twelve = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 12);
    const ja4 = `q13d0207h3_${twelve('1301,1302')}_${twelve('000a,000d,002b,0033,0039_0403,0804')}`;
    expect(event!.quic.ja4).toBe(ja4);
  });

  test('whose tag is wrong is refused and counted, and so tshark has no hello of it', async () => {
    const [good] = connection('good.example');
    const bad = Buffer.from(good as Buffer);
    bad[700]! ^= 1;
    const file = traceOf([...frames([bad]), ...frames([bad, good!])]);
    expect((await told(file)).map(({ quic }) => [quic.sni, quic.refused])).toEqual([
      [undefined, 1],
      ['good.example', 1],
    ]);
    expect(tshark(file, 'tls.handshake.type == 1', 'tls.handshake.extensions_server_name')).toEqual([['good.example']]);
  });

  test('goes on behind a Retry with keys of another id', async () => {
    const retry = bytes('f0', '00000001', 0, 8, otherId, Buffer.alloc(40, 1), Buffer.alloc(16, 2));
    const [before] = connection('retried.example');
    const after = connection('retried.example', { keyId: otherId, token: Buffer.alloc(40, 1), number: 1 });
    const [event] = await told(traceOf(frames([before!, { back: retry }, ...after])));
    expect(event!.quic).toMatchObject({ retry: true, sni: 'retried.example', cipher: '0x1301' });
    expect(event!.quic.refused).toBeUndefined();
    const [cut] = await told(traceOf(frames([initial({ keyId, padTo: 1162 }, first), { back: retry }, ...after])));
    expect(cut!.quic).toMatchObject({ retry: true, sni: 'retried.example', cipher: '0x1301' });
  });

  test('of a version that is not known is its version, and what the server offers', async () => {
    const unknown = bytes('c0', '1a2a3a4a', 8, keyId, 0, Buffer.alloc(1186));
    const offer = bytes('80', '00000000', 0, 8, keyId, '00000001', '6b3343cf');
    const file = traceOf(frames([unknown, { back: offer }]));
    expect((await told(file)).map(({ quic }) => quic)).toEqual([{ version: '1a2a3a4a', versions: ['1', '6b3343cf'] }]);
  });

  test('that has come in part waits in memory that is counted, and goes with its flow', async () => {
    const meter = new FlowMeter({ protocols: ['quic'] });
    const piece = initial({ keyId, padTo: 1162 }, crypto(8000, Buffer.alloc(500, 1)));
    await using capture = await open(`file:${traceOf(frames([piece]))}`);
    for await (const batch of capture) meter.add(batch);
    expect(meter.stats().events!.memoryBytes).toBeGreaterThan(8500);
    meter.flush();
    expect(meter.stats().events).toMatchObject({ made: 1, memoryBytes: 0 });
  });

  test('that is cut by a snaplen says so', async () => {
    const [packet] = frames(connection('cut.example'));
    const file = path('cut.pcap');
    writePcap(file, [{ data: packet!.subarray(0, 96), wirelen: packet!.length }]);
    expect((await told(file)).map(({ quic }) => quic)).toEqual([{ version: '1', cut: true }]);
  });

  test('is a line of `ringtap events`', async () => {
    const { code, stdout } = await ringtap('events', traceOf(cases[1]!), '--types', 'quic');
    expect(code).toBe(0);
    expect(stdout).toMatch(/ quic {2}.*:443 {2}v6b3343cf {2}two\.example {2}0x1301 {2}alpn doq {2}ja4 q13d0207dq_/);
  });
});
