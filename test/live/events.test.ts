// Protocol events of real servers and clients: what the meter says of them while they talk, and what tshark says of the same packets.
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import { createServer as createHttp2Server, connect as http2Connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls';
import { type Capture, open, openWriter } from 'ringtap';
import { type Event, FlowMeter } from 'ringtap/flow';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { certificates } from '../support/certificates.js';
import { lines, startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { lab, labMissing } from '../support/lab.js';

const path = temporaryFolder();
const trace = path('talk.pcap');

/** A response to a question for an address: the question with an answer behind it. */
function dnsAnswer(question: Buffer): Buffer {
  const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
  const end = question.indexOf(0, 12) + 5;
  const head = Buffer.from(question.subarray(0, end));
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(1, 6);
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, answer]);
}

async function talkDns(names: readonly string[]): Promise<void> {
  const server = createSocket('udp4');
  server.on('message', (message, { port, address }) => server.send(dnsAnswer(message), port, address));
  server.bind(53, '127.0.0.1');
  await once(server, 'listening');
  const resolver = new Resolver();
  resolver.setServers(['127.0.0.1']);
  for (const name of names) expect(await resolver.resolve4(name)).toEqual(['192.0.2.7']);
  server.close();
}

async function talkTls(name: string, version: 'TLSv1.2' | 'TLSv1.3'): Promise<void> {
  const { cert, key } = certificates(path).selfSigned(name, `DNS:${name}`);
  const server = createTlsServer({ cert, key, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) => socket.end('bye'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = tlsConnect({
    ...{ host: '127.0.0.1', port, servername: name, rejectUnauthorized: false },
    ...{ ALPNProtocols: ['h2', 'x'], minVersion: version, maxVersion: version },
  });
  client.resume();
  await once(client, 'close');
  server.close();
}

async function talkHttp(): Promise<void> {
  const server = createServer((message, response) => {
    message.resume();
    message.on('end', () => {
      response.setHeader('Content-Type', 'text/plain');
      if (message.url === '/chunked') {
        response.write('a'.repeat(1000));
        response.end('b'.repeat(234));
      } else {
        response.statusCode = message.method === 'POST' ? 201 : 404;
        response.end('x'.repeat(100_000), 'latin1');
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (const [method, url, body] of [
    ['GET', '/chunked', ''],
    ['POST', '/post?a=1', 'y'.repeat(5000)],
    ['GET', '/none', ''],
  ] as const) {
    const sent = request({ agent, host: '127.0.0.1', port, method, path: url, headers: { 'User-Agent': 'test "1"' } });
    sent.end(body);
    const [response] = await once(sent, 'response');
    response.resume();
    await once(response, 'end');
  }
  agent.destroy();
  server.close();
}

/** HTTP 2 without TLS: requests at once, and one whose response the client does not wait for. Gives the server's port. */
async function talkHttp2(): Promise<number> {
  const server = createHttp2Server({ settings: { headerTableSize: 16_384 } });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    stream.resume();
    if (headers[':path'] === '/never') return;
    stream.on('end', () => {
      const status = headers[':method'] === 'POST' ? 201 : 200;
      stream.respond({ ':status': status, 'content-type': 'text/plain', server: 'test 2' });
      stream.end('z'.repeat(Number(headers['x-bytes'])));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = http2Connect(`http://127.0.0.1:${port}`);
  const ask = async (method: string, path: string, bytes: number, body = '') => {
    const stream = client.request({
      ':method': method,
      ':path': path,
      'user-agent': 'test "2"',
      'x-bytes': `${bytes}`,
    });
    if (body !== '') stream.end(body); // a GET is at its end by itself
    stream.resume();
    await once(stream, 'end');
  };
  await Promise.all([
    ask('GET', '/a?q=1', 100_000),
    ask('POST', '/b', 10, 'y'.repeat(40_000)),
    ask('GET', `/${'long'.repeat(500)}`, 0),
  ]);
  await ask('GET', '/a?q=1', 3);
  const asked = once(server, 'stream');
  const never = client.request({ ':path': '/never' });
  never.on('error', () => {});
  await asked;
  never.close(8); // CANCEL
  await once(never, 'close');
  client.close();
  await once(client, 'close');
  server.close();
  return port;
}

function tshark(filter: string, ...fields: string[]): string[][] {
  return tsharkWith([], filter, ...fields);
}

/** @param options of tshark's, besides */
function tsharkWith(options: readonly string[], filter: string, ...fields: string[]): string[][] {
  const named = fields.flatMap((field) => ['-e', field]);
  const args = ['-n', '-r', trace, ...options, '-Y', filter, '-T', 'fields', ...named];
  return lines(execFileSync('tshark', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })).map((line) =>
    line.split('\t'),
  );
}

describe.skipIf(lab === null)(`events of real conversations${labMissing ? ` (skipped: ${labMissing})` : ''}`, () => {
  const events: Event[] = [];
  let http2Port = 0;
  const of = <Type extends Event['event_type']>(type: Type) =>
    events.filter((event): event is Extract<Event, { event_type: Type }> => event.event_type === type);

  beforeAll(async () => {
    execFileSync('ip', ['link', 'set', 'lo', 'up']); // the lab's own
    const meter = new FlowMeter({ protocols: true, communityId: true });
    const writer = await openWriter(trace);
    const capture: Capture = await open('afpacket:lo', { filter: 'tcp or udp' });
    const reading = (async () => {
      for await (const batch of capture) {
        meter.add(batch);
        await writer.write(batch);
        events.push(...meter.events());
      }
    })();
    await talkDns(['one.example', 'two.example']);
    await talkTls('old.example', 'TLSv1.2');
    await talkTls('new.example', 'TLSv1.3');
    await talkHttp();
    http2Port = await talkHttp2();
    const deadline = Date.now() + 20_000;
    while ((of('http').length < 8 || of('tls').length < 2) && Date.now() < deadline) await sleep(20);
    await capture.close();
    await reading;
    await writer.close();
    meter.flush();
    events.push(...meter.events());
  }, 60_000);
  afterAll(() => {
    events.length = 0;
  });

  test('DNS: each question and answer, as tshark has them', () => {
    const ours = of('dns').map(({ dns, src_port, dest_port }) => [
      dns.type === 'request' ? `${src_port}` : `${dest_port}`,
      `0x${dns.id.toString(16).padStart(4, '0')}`,
      dns.queries![0]!.rrname,
      dns.answers?.[0]?.rdata ?? '',
    ]);
    expect(ours).toHaveLength(4);
    expect(ours).toEqual(tshark('dns', 'udp.srcport', 'dns.id', 'dns.qry.name', 'dns.a'));
    for (const { dns } of of('dns')) {
      if (dns.type === 'response') expect(dns.latency_us).toBeGreaterThan(0);
    }
  });

  test('TLS: names, versions, ciphers and fingerprints, as tshark has them; of 1.2 the certificate', () => {
    const ours = of('tls').map(({ tls }) => [tls.sni, tls.client_alpns?.join(','), tls.ja3?.hash]);
    expect(ours.map(([sni]) => sni)).toEqual(['old.example', 'new.example']);
    const offered = ['tls.handshake.extensions_server_name', 'tls.handshake.extensions_alpn_str', 'tls.handshake.ja3'];
    expect(ours).toEqual(tshark('tls.handshake.type == 1', ...offered));
    const chosen = of('tls').map(({ tls }) => [tls.cipher, tls.ja3s?.hash]);
    expect(chosen).toEqual(tshark('tls.handshake.type == 2', 'tls.handshake.ciphersuite', 'tls.handshake.ja3s'));
    const [old, fresh] = of('tls').map(({ tls }) => tls);
    expect(old).toMatchObject({
      ...{ version: 'TLS 1.2', alpn: 'h2', subject: 'CN=old.example', issuerdn: 'CN=old.example' },
      ...{ subjectaltname: ['old.example'], chain_length: 1 },
    });
    const openssl = execFileSync('openssl', [
      ...['x509', '-in', path('old.example.pem'), '-noout', '-fingerprint', '-sha256', '-startdate', '-serial'],
    ]).toString();
    expect(openssl).toContain(old!.fingerprint_sha256!.toUpperCase());
    expect(openssl).toContain(old!.serial!.replaceAll(':', '').toUpperCase());
    expect(new Date(`${old!.notbefore}Z`).getTime()).toBe(new Date(/notBefore=(.*)/.exec(openssl)![1]!).getTime());
    expect(fresh).toMatchObject({ version: 'TLS 1.3' });
    expect(fresh!.subject).toBeUndefined();
  });

  test('HTTP: requests with their responses, as tshark has them', () => {
    const ours = of('http').flatMap(({ http }) => (http.http2 === undefined ? [http] : []));
    expect(ours.map(({ url, status, length, request_length }) => [url, status, length, request_length])).toEqual([
      ['/chunked', 200, 1234, undefined],
      ['/post?a=1', 201, 100_000, 5000],
      ['/none', 404, 100_000, undefined],
    ]);
    const told = tshark('http.request', 'http.request.method', 'http.request.uri', 'http.host', 'http.user_agent');
    expect(
      ours.map(({ http_method, url, hostname, http_port, http_user_agent }) => [
        ...[http_method, url, `${hostname}:${http_port}`, http_user_agent],
      ]),
    ).toEqual(told);
  });

  test('HTTP 2 without TLS: requests with their responses, as tshark has them', () => {
    const ours = of('http').filter(({ http }) => http.http2 !== undefined);
    const bodies = new Map<string, number>();
    const as = ['-d', `tcp.port==${http2Port},http2`] as const;
    // A packet has several frames: tshark has a list of each field, with commas between.
    for (const [source, ids, types, sizes] of tsharkWith(
      as,
      'http2',
      'tcp.srcport',
      'http2.streamid',
      'http2.type',
      'http2.length',
    )) {
      const [id, type, size] = [ids, types, sizes].map((list) => list!.split(','));
      for (const [i, of] of type!.entries()) {
        const key = `${source === `${http2Port}` ? 'server' : 'client'} ${id![i]}`;
        if (of === '0') bodies.set(key, (bodies.get(key) ?? 0) + Number(size![i]));
      }
    }
    const told = tsharkWith(
      as,
      'http2.headers.method',
      'http2.headers.method',
      'http2.headers.path',
      'http2.headers.authority',
    );
    const asked = ours
      .map(({ http: { http2, http_method, url, hostname, http_port } }) => [
        http2!.stream_id,
        http_method,
        url,
        `${hostname}:${http_port}`,
      ])
      .sort(([a], [b]) => Number(a) - Number(b));
    expect(asked.map((each) => each.slice(1))).toEqual(
      told.flatMap((lists) => {
        const [methods, paths, hosts] = lists.map((list) => list.split(','));
        return methods!.map((method, i) => [method, paths![i], hosts![i]]);
      }),
    );
    expect(asked.map(([id]) => id)).toEqual([1, 3, 5, 7, 9]);
    const answered = tsharkWith(as, 'http2.headers.status', 'http2.headers.status').flatMap(([list]) =>
      list!.split(','),
    );
    expect(ours.flatMap(({ http }) => http.status ?? []).sort()).toEqual(answered.map(Number).sort());
    for (const { http, src_port, dest_port } of ours) {
      const { stream_id, request } = http.http2!;
      expect(dest_port).toBe(http2Port);
      expect(src_port).toBeGreaterThan(0);
      expect(http).toMatchObject({ protocol: 'HTTP/2', version: '2' });
      expect(http.length ?? 0).toBe(bodies.get(`server ${stream_id}`) ?? 0);
      expect(http.request_length ?? 0).toBe(bodies.get(`client ${stream_id}`) ?? 0);
      if (http.url === '/never') expect([http.status, request]).toEqual([undefined, { error_code: 'CANCEL' }]);
      else
        expect(http).toMatchObject({ http_user_agent: 'test "2"', server: 'test 2', http_content_type: 'text/plain' });
    }
    expect(ours.map(({ http }) => http.length ?? 0).sort((a, b) => b - a)).toEqual([100_000, 10, 3, 0, 0]);
  });

  test('each event has the Community ID that tshark has, and the id of a flow', () => {
    const ours = new Set(events.map(({ community_id }) => community_id));
    const told = new Set(
      lines(
        execFileSync(
          'tshark',
          ['-n', '-r', trace, '--enable-protocol', 'communityid', '-T', 'fields', '-e', 'communityid'],
          { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
        ),
      ),
    );
    expect(ours.size).toBeGreaterThan(3);
    for (const id of ours) expect(told).toContain(id);
    for (const { flow_id } of events) expect(flow_id).toBeGreaterThan(0);
  });

  test('`ringtap events` tells them while they happen, until Ctrl-C', async () => {
    const run = startRingtap(['events', 'afpacket:lo', '--types', 'dns', 'udp', 'port', '53']);
    let told = '';
    run.process.stdout!.on('data', (chunk) => {
      told += chunk;
    });
    await once(run.process.stderr!, 'data');
    await talkDns(['three.example']);
    const deadline = Date.now() + 20_000;
    while (lines(told).length < 2 && Date.now() < deadline) await sleep(20);
    run.process.kill('SIGINT');
    const { code, stderr } = await run.outcome;
    expect(code).toBe(0);
    expect(lines(told)[0]).toMatch(/ dns {3}127\.0\.0\.1:\d+ → 127\.0\.0\.1:53 {2}\? {2}A three\.example$/);
    expect(lines(told)[1]).toMatch(/NOERROR {2}A three\.example {2}A 192\.0\.2\.7 {2}[\d.]+ ms$/);
    expect(stderr).toMatch(/\d+ packets, 2 events$/m);
  });
});
