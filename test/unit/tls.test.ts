// TLS between two ends of this process, and with openssl's own client and server.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type CaptureError, listen, type TlsOptions } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { tlsFrom } from '../../dist/cli/tls.js';
import { secureClient, secureServer } from '../../dist/tls/handshake.js';
import { checkTls } from '../../dist/uri/tls.js';
import { certificates } from '../support/certificates.js';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';

const path = temporaryFolder();
const make = certificates(path);
const own = make.selfSigned('own');
const authority = make.selfSigned('authority', 'DNS:authority');
const signed = make.signed('signed', 'authority');
const elsewhere = make.signed('elsewhere', 'authority', 'DNS:elsewhere.example');
const expired = make.signed('expired', 'authority', 'DNS:localhost', -1);

const at = { uri: 'tcp://localhost:1' };
const peer = { ...at, backend: undefined, host: 'localhost' };
const settings = (tls: TlsOptions | true) => checkTls(at, tls)!;
const patience = { timeoutMs: 5000 };

/** Both ends of a TCP connection. */
async function pair(): Promise<[client: Socket, server: Socket]> {
  const listening = createServer();
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const client = connect((listening.address() as AddressInfo).port, '127.0.0.1');
  const [[server]] = (await Promise.all([once(listening, 'connection'), once(client, 'connect')])) as [
    [Socket],
    unknown,
  ];
  listening.close();
  return [client, server];
}

interface Shaken {
  /** What the server sent, as the client read it. */
  readonly heard: string;
}

/** A handshake, and a word from the server to the client. Rejects with the client's fault. */
async function shake(client: TlsOptions | true, server: TlsOptions): Promise<Shaken> {
  const [ours, theirs] = await pair();
  const serving = secureServer(theirs, peer, settings(pick(server)), patience).then(
    (socket) => {
      socket.on('error', () => {});
      socket.end('hello');
    },
    () => {},
  );
  try {
    const socket = await secureClient(ours, peer, settings(client), patience);
    let heard = '';
    for await (const bytes of socket) heard += bytes;
    return { heard };
  } finally {
    ours.destroy();
    theirs.destroy();
    await serving;
  }
}

describe('a client of TLS', () => {
  test('trusts what its authority has signed for the name', async () => {
    expect(await shake({ ca: authority.cert }, signed)).toEqual({ heard: 'hello' });
    expect(await shake({ ca: [own.cert, Buffer.from(authority.cert)] }, signed)).toEqual({ heard: 'hello' });
  });

  test('trusts a certificate that is pinned, whoever signed it and whatever its name', async () => {
    expect(await shake({ fingerprint: own.fingerprint }, own)).toEqual({ heard: 'hello' });
    const plain = own.fingerprint.replaceAll(':', '').toLowerCase();
    expect(await shake({ fingerprint: [signed.fingerprint, `sha256:${plain}`] }, own)).toEqual({ heard: 'hello' });
    expect(await shake({ fingerprint: expired.fingerprint }, expired)).toEqual({ heard: 'hello' });
  });

  test('refuses a self-signed certificate, and says how to pin it', async () => {
    const error = (await failure(() => shake(true, own))) as CaptureError;
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_TLS', uri: at.uri });
    expect(error.message).toContain('its certificate is self-signed');
    const pin = /fingerprint: '([^']+)'/.exec(error.hint)?.[1];
    expect(pin).toBe(own.fingerprint);
    expect(await shake({ fingerprint: pin! }, own)).toEqual({ heard: 'hello' });
  });

  test.each([
    ['signed by nobody that is trusted', true, signed, 'signed by somebody who is not trusted'],
    ['signed by another authority', { ca: own.cert }, signed, 'signed by somebody who is not trusted'],
    ['for another name', { ca: authority.cert }, elsewhere, 'for another name'],
    ['expired', { ca: authority.cert }, expired, 'has expired'],
    [
      'not the pinned one',
      { fingerprint: signed.fingerprint },
      own,
      `not the one that is pinned, but ${own.fingerprint}`,
    ],
    ['pinned, but not signed as it must be', { fingerprint: own.fingerprint, ca: authority.cert }, own, 'self-signed'],
  ] as const)('refuses one that is %s', async (_, client, server, says) => {
    const error = (await failure(() => shake(client, server))) as CaptureError;
    expect(error.code).toBe('RINGTAP_REMOTE_TLS');
    expect(error.message).toContain(says);
  });

  test('takes the name in the certificate from serverName', async () => {
    const tls = { ca: authority.cert, serverName: 'elsewhere.example' };
    expect(await shake(tls, elsewhere)).toEqual({ heard: 'hello' });
  });

  test('takes any certificate with insecure', async () => {
    expect(await shake({ insecure: true }, expired)).toEqual({ heard: 'hello' });
  });

  test('tells a peer that speaks no TLS, one that hangs up, and one that is silent', async () => {
    const against = async (does: (socket: Socket) => void, timeoutMs = 5000) => {
      const [ours, theirs] = await pair();
      does(theirs);
      const error = await failure(() => secureClient(ours, peer, settings(true), { timeoutMs }));
      theirs.destroy();
      expect(ours.destroyed).toBe(true);
      return error as CaptureError;
    };
    const plain = await against((socket) => socket.write(Buffer.from('d4c3b2a1020004000000000000000000', 'hex')));
    expect(plain).toMatchObject({ code: 'RINGTAP_REMOTE_TLS' });
    expect(plain.message).toContain('speaks no TLS');
    const rude = await against((socket) => socket.end());
    expect(rude.message).toContain('was closed in the handshake');
    const mute = await against(() => {}, 100);
    expect(mute.message).toContain('no handshake for 100 ms');
  });

  test('ends at once with its signal', async () => {
    const [ours, theirs] = await pair();
    const abort = new AbortController();
    const reason = new Error('enough');
    const shake = (socket: Socket) =>
      secureClient(socket, peer, settings(true), { timeoutMs: 60_000, signal: abort.signal }).catch((why) => why);
    const shaking = shake(ours);
    abort.abort(reason);
    expect(await shaking).toBe(reason);
    expect(ours.destroyed).toBe(true);
    theirs.destroy();
    const [late, other] = await pair();
    expect(await shake(late)).toBe(reason);
    late.destroy();
    other.destroy();
  });

  test('speaks with openssl s_server', async () => {
    const args = [
      's_server',
      '-accept',
      '127.0.0.1:0',
      '-cert',
      signed.certFile,
      '-key',
      signed.keyFile,
      '-naccept',
      '1',
    ];
    const server = spawn('openssl', args);
    let said = '';
    while (!/ACCEPT 127\.0\.0\.1:(\d+)/.test(said)) said += (await once(server.stdout, 'data'))[0];
    const socket = connect(Number(/ACCEPT 127\.0\.0\.1:(\d+)/.exec(said)![1]), '127.0.0.1');
    await once(socket, 'connect');
    const secured = await secureClient(socket, peer, settings({ ca: authority.cert }), patience);
    server.stdin.write('a line\n');
    expect(String((await once(secured, 'data'))[0])).toBe('a line\n');
    secured.destroy();
    server.kill();
    await once(server, 'close');
  });
});

describe('a server of TLS', () => {
  /** What becomes of the server when such a client comes. */
  async function serve(server: TlsOptions, client: TlsOptions): Promise<unknown> {
    const [ours, theirs] = await pair();
    ours.on('error', () => {});
    const connecting = secureClient(ours, peer, settings(client), patience).then(
      (socket) => socket.on('error', () => {}),
      () => {},
    );
    try {
      return await secureServer(theirs, { ...peer, host: '127.0.0.1' }, settings(server), patience).then(
        (socket) => socket.getPeerX509Certificate()?.subject ?? 'nobody',
        (error: CaptureError) => error,
      );
    } finally {
      ours.destroy();
      theirs.destroy();
      await connecting;
    }
  }

  test('asks no client for a certificate, unless it says whose it trusts', async () => {
    expect(await serve(pick(own), { insecure: true })).toBe('nobody');
    expect(await serve({ ...pick(own), ca: authority.cert }, { ...pick(signed), insecure: true })).toBe('CN=signed');
    expect(await serve({ ...pick(own), fingerprint: signed.fingerprint }, { ...pick(signed), insecure: true })).toBe(
      'CN=signed',
    );
  });

  test('refuses a client without one, and one that it does not know', async () => {
    expect(await serve({ ...pick(own), ca: authority.cert }, { insecure: true })).toMatchObject({
      code: 'RINGTAP_REMOTE_TLS',
    });
    const stranger = await serve({ ...pick(own), ca: authority.cert }, { ...pick(own), insecure: true });
    expect((stranger as CaptureError).message).toContain('self-signed');
    const unpinned = await serve({ ...pick(own), fingerprint: own.fingerprint }, { ...pick(signed), insecure: true });
    expect((unpinned as CaptureError).message).toContain('not the one that is pinned');
  });

  test('tells a client that speaks no TLS', async () => {
    const [ours, theirs] = await pair();
    ours.on('error', () => {});
    ours.write('GET / HTTP/1.1\r\n\r\n');
    const error = await failure(() => secureServer(theirs, peer, settings(pick(own)), patience));
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_TLS' });
    ours.destroy();
  });

  test('speaks with openssl s_client', async () => {
    const listening = createServer();
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    const { port } = listening.address() as AddressInfo;
    const client = spawn('openssl', [
      's_client',
      '-quiet',
      '-connect',
      `127.0.0.1:${port}`,
      '-CAfile',
      authority.certFile,
    ]);
    const [socket] = (await once(listening, 'connection')) as [Socket];
    const secured = await secureServer(socket, peer, settings(pick(signed)), patience);
    secured.write('hello openssl\n');
    expect(String((await once(client.stdout, 'data'))[0])).toBe('hello openssl\n');
    secured.destroy();
    listening.close();
    await once(client, 'close');
  });
});

const pick = ({ cert, key }: TlsOptions): TlsOptions => ({ cert, key });

describe('the option tls', () => {
  const refused = (tls: unknown) => failure(() => checkTls(at, tls)) as Promise<CaptureError>;

  test('is true or false in a URI, and nothing more', async () => {
    expect(checkTls(at, 'true')).toMatchObject({ fingerprints: [], insecure: false });
    expect(checkTls(at, 'false')).toBeUndefined();
    expect(await refused('/etc/ssl/ca.pem')).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
  });

  test.each([
    ['ca is the name of a file', { ca: '/etc/ssl/ca.pem' }, 'tls.ca is no PEM'],
    ['ca holds a key', { ca: own.key }, 'tls.ca holds no certificate'],
    ['ca is empty', { ca: [] }, 'tls.ca names nobody'],
    ['there is no key', { cert: own.cert }, 'tls.cert needs tls.key'],
    ['there is no certificate', { key: own.key }, 'tls.key needs tls.cert'],
    ['the key is another one', { cert: own.cert, key: signed.key }, 'tls.key is not the key of tls.cert'],
    ['the key is damaged', { cert: own.cert, key: own.key.replace(/\n.{8}/, '\nAAAAAAAA') }, 'tls.key cannot be read'],
    ['the fingerprint is an MD5', { fingerprint: 'd41d8cd98f00b204e9800998ecf8427e' }, 'a SHA-256 of 64'],
    ['a number is no fingerprint', { fingerprint: 7 }, 'a SHA-256 of 64'],
    ['insecure is a text', { insecure: 'yes' }, 'tls.insecure must be true or false'],
    [
      'both are asked for',
      { insecure: true, fingerprint: own.fingerprint },
      'accepts every certificate, fingerprint does',
    ],
    ['serverName is empty', { serverName: '' }, 'tls.serverName must be'],
  ])('is refused where %s', async (_, tls, says) => {
    const error = await refused(tls);
    expect(error.code).toBe('RINGTAP_BAD_OPTION');
    expect(error.message).toContain(says);
    expect(`${error.message}${error.hint}`).not.toContain(own.key.split('\n')[1]);
  });

  test('is refused where looking at it fails', async () => {
    const deaf = () => {
      throw new Error('it was looked at');
    };
    const things = [{}, []].map((thing) => new Proxy(thing, { get: deaf, ownKeys: deaf, getPrototypeOf: deaf }));
    const revoked = Proxy.revocable([], {});
    revoked.revoke();
    for (const thing of [...things, revoked.proxy]) {
      for (const tls of [thing, { ca: thing }, { ca: [thing] }, { fingerprint: thing }, { insecure: thing }]) {
        expect(await refused(tls)).toMatchObject({ name: 'CaptureError', code: expect.stringMatching(/_OPTION$/) });
      }
      for (const tls of [{ cert: thing, key: own.key }, { cert: own.cert, key: thing }, { serverName: thing }]) {
        expect(await refused(tls)).toMatchObject({ name: 'CaptureError', code: 'RINGTAP_BAD_OPTION' });
      }
      for (const options of [{ allow: thing }, { allow: [thing] }, { tls: thing }, { mostConnections: thing }, thing]) {
        const error = await failure(() => listen('tcp-listen://127.0.0.1:0', options as object));
        expect(error).toMatchObject({ name: 'CaptureError', code: 'RINGTAP_BAD_OPTION' });
      }
      for (const options of [{ auth: thing }, { interface: [thing] }, { filter: thing }, { signal: thing }]) {
        const error = await failure(() => listen('rpcap://127.0.0.1:0', options as object));
        expect(error).toMatchObject({ name: 'CaptureError', code: expect.stringMatching(/_(OPTION|FILTER)$/) });
      }
    }
  });

  test('is refused on the command line where everybody may read the key', async () => {
    const key = path('open.pem');
    writeFileSync(key, own.key);
    for (const mode of [0o644, 0o602]) {
      chmodSync(key, mode);
      const error = await failure(async () => tlsFrom({ tlsCert: own.certFile, tlsKey: key }, false));
      expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', hint: `chmod 600 ${key}` });
      expect(error.message).toBe(`--tls-key: ${key} can be read by everybody`);
    }
    chmodSync(key, 0o640);
    expect(tlsFrom({ tlsCert: own.certFile, tlsKey: key }, false).tls?.key).toEqual(readFileSync(key));
  });

  test('names the member that was meant', async () => {
    const error = await refused({ fingerprnt: own.fingerprint });
    expect(error).toMatchObject({ code: 'RINGTAP_UNKNOWN_OPTION' });
    expect(error.hint).toContain('"fingerprint"');
  });

  test('is made of files and the environment on the command line', async () => {
    expect(tlsFrom({}, false)).toEqual({});
    const { tls } = tlsFrom({ tlsCa: authority.certFile, tlsFingerprint: own.fingerprint }, false);
    expect(settings(tls!)).toMatchObject({ ca: [authority.cert], insecure: false });
    process.env.RINGTAP_TLS_CERT = own.certFile;
    process.env.RINGTAP_TLS_KEY = own.keyFile;
    try {
      expect(settings(tlsFrom({}, true).tls!)).toMatchObject({ cert: own.cert, key: own.key });
    } finally {
      delete process.env.RINGTAP_TLS_CERT;
      delete process.env.RINGTAP_TLS_KEY;
    }
    expect(await failure(() => tlsFrom({ tlsKey: path('nowhere') }, false))).toMatchObject({
      code: 'RINGTAP_FILE_OPEN',
    });
  });
});
