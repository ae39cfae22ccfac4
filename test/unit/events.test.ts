// Protocol events: through the meter and through `ringtap events`, from traces made by hand.
import { execFileSync } from 'node:child_process';
import { open } from 'ringtap';
import { type Event, FlowMeter, type FlowMeterOptions, PROTOCOLS } from 'ringtap/flow';
import { describe, expect, test } from 'vitest';
import { lines, ringtap, startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';
import { bytes, ethernet, ipv4, ipv6, type TracePacket, tcp, u16, udp, writePcap } from '../support/trace.js';
import { vxlan } from '../support/tunnels.js';

const path = temporaryFolder();
const [client, server] = ['10.0.0.1', '10.0.0.2'];

const name = (text: string) => bytes(...text.split('.').flatMap((label) => [label.length, Buffer.from(label)]), 0);
const question = (of: string, id = 7) => bytes(u16(id), '0100 0001 0000 0000 0000', name(of), '0001 0001');
const answer = (of: string, id = 7) =>
  bytes(u16(id), '8180 0001 0001 0000 0000', name(of), '0001 0001 c00c 0001 0001 0000003c 0004 c0000207');

function datagram(payload: Uint8Array, back = false, port = 53): Buffer {
  const [source, destination] = back ? [server, client] : [client, server];
  const [from, to] = back ? [port, 40_000] : [40_000, port];
  return ethernet(0x0800, ipv4({ protocol: 17, source, destination }, udp(from, to, payload)));
}

function segment(sequence: number, text: string | Uint8Array, back = false, flags = 0x18, port = 8080): Buffer {
  const [from, to] = back ? [server, client] : [client, server];
  const ports = back ? { source: port, destination: 40_000 } : { source: 40_000, destination: port };
  const payload = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
  return ethernet(
    0x0800,
    ipv4({ protocol: 6, source: from, destination: to }, tcp({ ...ports, sequence, flags }, payload)),
  );
}

let files = 0;
async function told(frames: readonly (Uint8Array | TracePacket)[], options?: FlowMeterOptions): Promise<Event[]> {
  const file = path(`${++files}.pcap`);
  writePcap(
    file,
    frames.map((frame) => ('data' in frame ? frame : { data: frame })),
  );
  const meter = new FlowMeter({ protocols: true, ...options });
  await using capture = await open(`file:${file}`, { batchSize: 3 });
  for await (const batch of capture) meter.add(batch);
  meter.flush();
  return [...meter.events()];
}

describe('what is said in flows', () => {
  test('carries the id of the flow, and stands under its own name', async () => {
    const file = path('joined.pcap');
    writePcap(file, [{ data: datagram(question('a.test')) }, { data: datagram(answer('a.test'), true) }]);
    const meter = new FlowMeter({ protocols: ['dns'], communityId: true });
    await using capture = await open(`file:${file}`);
    for await (const batch of capture) meter.add(batch);
    meter.flush();
    const events = meter.events();
    expect(events).toHaveLength(2);
    const [flows] = meter.drain();
    const text = Buffer.from(events.toJsonLines()).toString();
    expect([...events]).toEqual(lines(text).map((line) => JSON.parse(line)));
    for (const event of events) {
      expect(event).toMatchObject({
        ...{ event_type: 'dns', flow_id: flows!.id[0], src_ip: client, src_port: 40_000, dest_port: 53, proto: 'UDP' },
      });
      expect(event.community_id).toMatch(/^1:[\w+/]{27}=$/);
    }
    expect([...events].map((event) => event.event_type === 'dns' && event.dns.answers?.[0]?.rdata)).toEqual([
      undefined,
      '192.0.2.7',
    ]);
    expect(meter.events()).toHaveLength(0);
    expect(meter.stats().events).toMatchObject({ made: 2, waiting: 0, lost: 0, memoryBytes: 0 });
  });

  test('is found on any port, in VLANs and in tunnels', async () => {
    const [strange, inner] = await told([
      datagram(question('any.port'), false, 9999),
      vxlan(42, datagram(question('in.vxlan'))),
    ]);
    expect(strange).toMatchObject({ dest_port: 9999, dns: { queries: [{ rrname: 'any.port' }] } });
    expect(inner).toMatchObject({ tunnel: { kind: 'vxlan', id: 42 }, dns: { queries: [{ rrname: 'in.vxlan' }] } });
  });

  test('is nothing where no protocol is on, and only what is asked for', async () => {
    const frames = [datagram(question('a.test')), segment(1, 'GET / HTTP/1.1\r\n\r\n')];
    expect(await told(frames, { protocols: false })).toEqual([]);
    expect((await told(frames, { protocols: ['http'] })).map(({ event_type }) => event_type)).toEqual(['http']);
  });

  test('is put in order: segments that are late, twice or cut, and gaps in bodies', async () => {
    const request = 'GET /x HTTP/1.1\r\nHost: h.test\r\n\r\n';
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n';
    const events = await told([
      segment(0, '', false, 2),
      segment(1 + 10, request.slice(10)),
      segment(1, request.slice(0, 10)),
      segment(1, request.slice(0, 12)),
      segment(1, head, true),
      segment(1 + head.length + 2000, 'z'.repeat(1000), true),
      segment(1 + request.length, '', false, 0x11),
      segment(1 + head.length + 3000, '', true, 0x11),
    ]);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ http: { hostname: 'h.test', url: '/x', status: 200, length: 3000 } });
  });

  test('that comes too often in one flow is withheld, and the next event tells how often', async () => {
    const at = (second: number): TracePacket => ({
      data: datagram(question('a.test')),
      time: 1_700_000_000_000_000_000n + BigInt(second) * 1_000_000_000n,
    });
    const events = await told([...Array.from({ length: 1200 }, () => at(0)), at(1)]);
    expect(events).toHaveLength(1001);
    expect(events.at(-1)).toMatchObject({ withheld: 200 });
  });

  test('of a trace that is cut after 64 bytes is what is there', async () => {
    const frame = datagram(question('cut.after.a.while.test'));
    const [event] = await told([{ data: frame.subarray(0, 64), wirelen: frame.length }]);
    expect(event).toMatchObject({ event_type: 'dns', dns: { cut: true, id: 7 } });
  });

  test('goes on behind CONNECT with what is spoken there', async () => {
    const connect = 'CONNECT h.test:80 HTTP/1.1\r\n\r\n';
    const yes = 'HTTP/1.1 200 OK\r\n\r\n';
    const events = await told([
      segment(1, connect),
      segment(1, yes, true),
      segment(1 + connect.length, 'GET /inner HTTP/1.1\r\n\r\n'),
    ]);
    expect(events.map((event) => event.event_type === 'http' && event.http.url)).toEqual(['h.test:80', '/inner']);
  });
});

test('protocols that there are not, and what is no list, are errors that name those that there are', async () => {
  for (const protocols of [['dns', 'gopher'], 'dns', 7, {}, [null], []]) {
    const error = await failure(async () => new FlowMeter({ protocols } as unknown as FlowMeterOptions));
    expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    expect(error.hint).toContain(PROTOCOLS.join(', '));
  }
});

describe('what cannot be followed', () => {
  const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab';
  /** What the client says in segments, and the server after it. */
  const conversation = (said: string | Uint8Array, answer: string, port = 8080): Buffer[] => {
    const all = typeof said === 'string' ? Buffer.from(said, 'latin1') : said;
    const frames: Buffer[] = [segment(0, '', false, 2, port), segment(0, '', true, 0x12, port)];
    for (let at = 0; at < all.length; at += 1400)
      frames.push(segment(1 + at, all.subarray(at, at + 1400), false, 0x18, port));
    frames.push(segment(1, answer, true, 0x18, port));
    return [
      ...frames,
      segment(1 + all.length, '', false, 0x11, port),
      segment(1 + answer.length, '', true, 0x11, port),
    ];
  };
  const stats = async (frames: readonly Uint8Array[]) => {
    const file = path(`${++files}.pcap`);
    writePcap(
      file,
      frames.map((data) => ({ data })),
    );
    const meter = new FlowMeter({ protocols: true });
    await using capture = await open(`file:${file}`);
    for await (const batch of capture) meter.add(batch);
    meter.flush();
    return { events: [...meter.events()], counts: meter.stats().events };
  };

  test('is counted once in givenUp, and what can be told is told', async () => {
    const line = await stats(conversation(`GET /${'A'.repeat(100_000)} HTTP/1.1\r\n\r\n`, ok));
    expect(line.counts).toMatchObject({ givenUp: 1, made: 1 });
    expect(line.events[0]).toMatchObject({ http: { status: 200, length: 2 } });
    const fields = await stats(conversation(`GET / HTTP/1.1\r\n${'X-1: yyyy\r\n'.repeat(20_000)}\r\n`, ok));
    expect(fields.counts).toMatchObject({ givenUp: 1, made: 1 });
    const length = await stats(conversation('POST /c HTTP/1.1\r\nContent-Length: -5\r\n\r\n', ok));
    expect(length.counts).toMatchObject({ givenUp: 1, made: 1 });
    expect(length.events[0]).toMatchObject({ http: { url: '/c', status: 200, length: 2 } });
    const hello = bytes('16 0301 4000 01 ffffff 0303', Buffer.alloc(16_378, 7));
    expect((await stats(conversation(hello, '', 443))).counts).toMatchObject({ givenUp: 1, made: 0 });
    const banner = await stats(conversation(`SSH-2.0-${'A'.repeat(70_000)}\r\n`, 'SSH-2.0-ok\r\n', 22));
    expect(banner.counts).toMatchObject({ givenUp: 1 });
    expect((await stats(conversation('GET / HTTP/1.1\r\n\r\n', ok))).counts).toMatchObject({ givenUp: 0, made: 1 });
  });

  test('is counted in withheld where too many requests wait, and no response goes to another one', async () => {
    const all = Array.from({ length: 300 }, (_, i) => i);
    const { events, counts } = await stats(
      conversation(
        all.map((i) => `GET /r${i} HTTP/1.1\r\n\r\n`).join(''),
        all.map((i) => `HTTP/1.1 200 OK\r\nServer: r${i}\r\nContent-Length: 1\r\n\r\nx`).join(''),
      ),
    );
    expect(counts).toMatchObject({ made: 128, withheld: 172 });
    expect(events.every((event) => event.event_type === 'http' && event.http.url === `/${event.http.server}`)).toBe(
      true,
    );
  });

  test('of a body are the bytes that did not come: lengths are of those that did', async () => {
    const request = 'POST /c HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nabc';
    const [event] = await told(conversation(request, 'HTTP/1.1 413 No\r\nContent-Length: 500\r\n\r\n0123456789'));
    expect(event).toMatchObject({ http: { status: 413, length: 10, request_length: 3, incomplete: true } });
  });

  test('are not empty lines before a request, a greeting before a banner, empty records before a hello', async () => {
    const lines = await told(conversation(`${'\r\n'.repeat(5)}GET /crlf HTTP/1.1\r\n\r\n`, ok));
    expect(lines).toMatchObject([{ http: { url: '/crlf', status: 200 } }]);
    const greeted = await told(conversation('SSH-2.0-c\r\n', 'Welcome\r\nSSH-2.0-banner\r\n', 22));
    expect(greeted).toMatchObject([
      { ssh: { client: { software_version: 'c' }, server: { software_version: 'banner' } } },
    ]);
    const hello = `0100002b 0303 ${'11'.repeat(32)} 00 0002 1301 01 00 0000`;
    const empty = await told(conversation(bytes('1603010000'.repeat(1000), '160301002f', hello), '', 443));
    expect(empty).toMatchObject([{ tls: { client_version: 'TLS 1.2', ja3: { string: '771,4865,,,' } } }]);
  });
});

test('the Community ID of ICMP is that of its publication', async () => {
  const message4 = (source: string, destination: string, type: number, code: number) =>
    ethernet(0x0800, ipv4({ protocol: 1, source, destination }, bytes(type, code, '0000 0001 0001')));
  const message6 = (source: string, destination: string, type: number, code: number) =>
    ethernet(0x86dd, ipv6({ next: 58, source, destination }, bytes(type, code, '0000 0001 0001')));
  const [four, other] = ['192.168.0.89', '192.168.0.1'];
  const [six, sixth, far] = [
    '3ffe 0507 0000 0001 0200 86ff fe05 80da',
    '3ffe 0507 0000 0001 0260 97ff fe07 69ea',
    '3ffe 0501 0000 1802 0260 97ff feb6 7ff0',
  ];
  const events = await told(
    [
      message4(four, other, 8, 0),
      message4(other, four, 0, 0),
      message4(four, other, 20, 0),
      message4(four, other, 20, 1),
      message6('fe80 0000 0000 0000 0200 86ff fe05 80da', 'fe80 0000 0000 0000 0260 97ff fe07 69ea', 135, 0),
      message6(six, sixth, 3, 0),
      message6(far, six, 3, 0),
    ],
    { communityId: true },
  );
  expect(events.map(({ community_id }) => community_id)).toEqual([
    '1:X0snYXpgwiv9TZtqg64sgzUn6Dk=',
    '1:X0snYXpgwiv9TZtqg64sgzUn6Dk=',
    '1:3o2RFccXzUgjl7zDpqmY7yJi8rI=',
    '1:tz/fHIDUHs19NkixVVoOZywde+I=',
    '1:dGHyGvjMfljg6Bppwm3bg0LO8TY=',
    '1:/OGBt9BN1ofenrmSPWYicpij2Vc=',
    '1:bnQKq8A2r//dWnkRW2EYcMhShjc=',
  ]);
});

describe('HTTP of other versions', () => {
  const vlan = (data: Buffer) => Buffer.concat([data.subarray(0, 12), bytes('8100 0ffd'), data.subarray(12)]);
  const settings = bytes('000000 04 00 00000000');
  const request = bytes(
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    settings,
    bytes('000014 01 05 00000001 828684410f', Buffer.from('www.example.com')),
  );
  const response = bytes(settings, '000000 04 01 00000000', '000001 01 04 00000001 88', '000003 00 01 00000001 616263');

  test('0.9 is a line and what comes until the end, in a VLAN, with what a switch puts behind the packet', async () => {
    const page = '<!DOCTYPE HTML>'.repeat(200);
    const trailer = bytes('0114 0000 0000 0000 0000 0000 0000 0000 0000 0000');
    const frames = [
      segment(0, '', false, 2),
      segment(0, '', true, 0x12),
      segment(1, 'GET /\r\n\r\n'),
      segment(1, page.slice(0, 1400), true),
      segment(1401, page.slice(1400, 2800), true),
      segment(2801, page.slice(2800), true),
      segment(1 + page.length, '', true, 0x11),
      segment(10, '', false, 0x11),
    ].map((data) => vlan(Buffer.concat([data, trailer])));
    const [event, ...others] = await told(frames);
    expect(others).toEqual([]);
    expect(event).toMatchObject({
      vlan: [4093],
      http: { http_method: 'GET', url: '/', protocol: 'HTTP/0.9', length: page.length },
    });
    expect(event!.event_type === 'http' && event!.http.incomplete).toBe(undefined);
  });

  test('2 comes with its stream, and its fields are put in order as TCP is', async () => {
    const events = await told([
      segment(0, '', false, 2),
      segment(0, '', true, 0x12),
      segment(1 + 30, request.subarray(30)),
      segment(1, request.subarray(0, 30)),
      segment(1, response, true),
    ]);
    expect(events).toMatchObject([
      { http: { hostname: 'www.example.com', url: '/', status: 200, length: 3, http2: { stream_id: 1 } } },
    ]);
  });

  test('2 is told without fields, and counted, where there is no library for them', async () => {
    const file = path('no-library.pcap');
    writePcap(file, [{ data: segment(1, request) }, { data: segment(1, response, true) }]);
    const { code, stdout, stderr } = await startRingtap(['events', file, '--json'], {
      env: { RINGTAP_LIBNGHTTP2: path('no-such-library.so') },
    }).outcome;
    expect(code).toBe(0);
    const [event] = lines(stdout).map((line) => JSON.parse(line));
    expect(event.http).toEqual({
      ...{ protocol: 'HTTP/2', version: '2', length: 3, latency_us: 0, http2: { stream_id: 1 } },
    });
    expect(stderr).toBe('2 packets, 1 events (of HTTP 2 without header fields, for want of libnghttp2 1)\n');
  });
});

describe('the beginning of sessions, as tshark has it', () => {
  const guid = '00112233445566778899aabbccddeeff';
  const zeros = (count: number) => Buffer.alloc(count);
  const framed = (...pieces: Parameters<typeof bytes>) => {
    const message = bytes(...pieces);
    return bytes('0000', u16(message.length), message);
  };
  const conversation = (port: number, said: Buffer, ...answers: Buffer[]) => [
    segment(0, '', false, 2, port),
    segment(0, '', true, 0x12, port),
    segment(1, said, false, 0x18, port),
    ...answers.map((answer) => segment(1, answer, true, 0x18, port)),
  ];
  const tshark = (file: string, filter: string, ...fields: string[]) => {
    const named = fields.flatMap((field) => ['-e', field]);
    const args = ['-n', '-r', file, '-Y', filter, '-T', 'fields', ...named];
    const text = execFileSync('tshark', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return lines(text).map((line) => line.split('\t'));
  };

  test('SMB: dialects, and who both ends are', async () => {
    const header = (reply: boolean) =>
      bytes('fe534d42 4000 0000 00000000 0000 0000', reply ? '01000000' : '00000000', zeros(44));
    const frames = conversation(
      445,
      framed(header(false), '2400 0300 0100 0000 7f000000', guid, zeros(8), '0202 1002 0003'),
      framed(
        header(true),
        '4100 0100 0003 0000',
        guid,
        '2f000000 00008000 00000100 00000200',
        zeros(16),
        '8000 0000 00000000',
      ),
    );
    const [event, ...others] = await told(frames);
    expect(others).toEqual([]);
    const file = path(`${files}.pcap`);
    const number = (dialect: string) => `0x${dialect.replace('.', '').padStart(4, '0')}`;
    const smb = event!.event_type === 'smb' ? event!.smb : undefined;
    expect([smb!.client_dialects!.map(number).join(','), smb!.client_guid]).toEqual(
      tshark(file, 'smb2.flags.response == 0', 'smb2.dialect', 'smb2.client_guid')[0],
    );
    expect([number(smb!.dialect), smb!.server_guid, `${smb!.max_read_size}`, `${smb!.max_write_size}`]).toEqual(
      tshark(
        file,
        'smb2.flags.response == 1',
        'smb2.dialect',
        'smb2.server_guid',
        'smb2.max_read_size',
        'smb2.max_write_size',
      )[0],
    );
    expect((await ringtap('events', file)).stdout).toMatch(
      / smb {3}10\.0\.0\.1:40000 → 10\.0\.0\.2:445 {2}3\.00 {2}of 2\.02,2\.10,3\.00 {2}client 33221100-5544-7766-8899-aabbccddeeff {2}server /,
    );
  });

  test('RDP: for whom, what is asked for and what is chosen; TLS goes on behind it', async () => {
    const cookie = Buffer.from('Cookie: mstshash=eltons\r\n');
    const hello = `160301002f 0100002b 0303 ${'11'.repeat(32)} 00 0002 1301 01 00 0000`;
    const request = bytes('0300002c 27e00000000000', cookie, '0100080003000000');
    const frames = [
      ...conversation(3389, request, bytes('03000013 0ed00000123400 0200080001000000')),
      segment(1 + request.length, bytes(hello), false, 0x18, 3389),
    ];
    const events = await told(frames);
    expect(events.map((event) => (event as { rdp?: object }).rdp ?? event.event_type)).toEqual([
      { tx_id: 0, event_type: 'initial_request', cookie: 'eltons', requested_protocols: ['ssl', 'hybrid'] },
      { tx_id: 1, event_type: 'initial_response', protocol: 'ssl' },
      'tls',
    ]);
    const fields = ['rdp.rt_cookie', 'rdp.negReq.requestedProtocols', 'rdp.negReq.selectedProtocol'];
    expect(tshark(path(`${files}.pcap`), 'rdp.neg_type', ...fields)).toEqual([
      ['Cookie: mstshash=eltons', '0x00000003', ''],
      ['', '', '0x00000001'],
    ]);
    const { stdout } = await ringtap('events', path(`${files}.pcap`), '--types', 'rdp');
    expect(stdout).toMatch(/ asks {2}for ssl,hybrid {2}user eltons\n.* answers {2}ssl\n/);
  });
});

describe('ringtap events', () => {
  const file = path('cli.pcap');
  writePcap(
    file,
    [
      datagram(question('a.test')),
      datagram(answer('a.test'), true),
      ethernet(0x0806, bytes('0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002')),
      segment(1, 'GET /\x1b[31m HTTP/1.1\r\nHost: h\r\n\r\n'),
      segment(1, 'GET http://abs:8080/i HTTP/1.1\r\n\r\n', false, 0x18, 3128),
    ].map((data) => ({ data })),
  );

  test('is a line for each, with nothing in it that a terminal would obey', async () => {
    const { code, stdout, stderr } = await ringtap('events', file);
    expect(code).toBe(0);
    expect(lines(stdout).map((line) => line.replace(/^[\d-]+ [\d:.]+ {2}/, ''))).toEqual([
      'dns   10.0.0.1:40000 → 10.0.0.2:53  ?  A a.test',
      'dns   10.0.0.1:40000 → 10.0.0.2:53  NOERROR  A a.test  A 192.0.2.7  0.000 ms',
      'arp   request  who has 10.0.0.2?  tell 10.0.0.1 (02:00:00:00:00:01)',
      'http  10.0.0.1:40000 → 10.0.0.2:8080  GET  h/\\x1b[31m  no response',
      'http  10.0.0.1:40000 → 10.0.0.2:3128  GET  http://abs:8080/i  no response',
    ]);
    expect(stderr).toBe('5 packets, 5 events\n');
  });

  test('--json is EVE, --types chooses', async () => {
    const { stdout } = await ringtap('events', file, '--json', '--types', 'arp,http', '--community-id');
    const events = lines(stdout).map((line) => JSON.parse(line));
    expect(events.map(({ event_type }) => event_type)).toEqual(['arp', 'http', 'http']);
    expect(events[0].flow_id).toBeUndefined();
    expect(events[1].community_id).toMatch(/^1:/);
  });

  test('a type that there is not is wrong usage', async () => {
    const { code, stderr } = await ringtap('events', file, '--types', 'dns,gopher');
    expect(code).toBe(2);
    expect(stderr).toContain('dns, http');
  });
});
