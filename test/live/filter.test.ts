// Filters that ask what is not in a packet's bytes, and what cooked captures show of a tag. tcpdump is the judge.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'ringtap';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, script } from '../support/child.js';
import { start, tcpdump } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { lab } from '../support/lab.js';
import { mixture } from '../support/mixture.js';
import { drain, expectBalanced, failure, readAll, type Seen } from '../support/packets.js';
import { sendRaw } from '../support/raw.js';
import { ethernet, ipv4, tcp, udp } from '../support/trace.js';
import { until, within } from '../support/wait.js';

const path = temporaryFolder();
const { rx, tx } = lab ?? { rx: '', tx: '' };
const hex = (seen: readonly { data: Buffer }[]) => seen.map(({ data }) => data.toString('hex'));
const datagram = (port: number, tags: readonly (readonly [number, number])[] = []) =>
  ethernet(0x0800, ipv4({ protocol: 17 }, udp(port, 40001, Buffer.alloc(18))), tags);
const primer = datagram(9);
const segment = (port: number) => ethernet(0x0800, ipv4({ protocol: 6 }, tcp({ source: port }, Buffer.alloc(6))));
const index =
  lab === null ? 0 : Number(/^\d+/.exec(execFileSync('ip', ['-o', 'link', 'show', rx], { encoding: 'utf8' })));
let dumps = 0;

/** tcpdump beside `work`: what it wrote once that is `size` bytes or more. */
async function dumped(args: readonly string[], size: number, work: () => Promise<void>): Promise<string> {
  const file = path(`dump${++dumps}.pcap`);
  const dump = start('tcpdump', ['-U', '--immediate-mode', '-w', file, ...args]);
  const grown = (bytes: number) => () => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) >= bytes;
  await until(grown(24), 'tcpdump');
  await work();
  await until(grown(size), 'the dump');
  dump.process.kill('SIGINT');
  await within(dump.outcome, 'the end of tcpdump');
  return file;
}

describe.skipIf(lab === null)('a filter that asks which way a packet went, or through which interface', () => {
  test.each([
    ['inbound', 2],
    ['outbound', 2],
    ['inbound or udp', 3],
    ['outbound and udp or (inbound and tcp)', 2],
    [`ifindex ${index}`, 4],
  ] as const)('selects for "%s" what tcpdump selects, on afpacket: and pcap:', async (filter, expected) => {
    const seen: Seen[][] = [];
    const file = await dumped(['-i', rx, filter], 24 + expected * 76, async () => {
      // libpcap runs a filter in user space on the first packet that it gets, where nobody knows the answer.
      for (const iface of [tx, rx]) await sendRaw(iface, [primer, primer]);
      await using ring = await open(`afpacket:${rx}`, { filter });
      await using copies = await open(`pcap:${rx}`, { filter });
      await sendRaw(tx, [datagram(1), segment(2)]);
      await sendRaw(rx, [datagram(3), segment(4)]);
      for (const capture of [ring, copies]) {
        expect(capture.plan.filter).toBe('kernel');
        seen.push(await drain(capture));
        expectBalanced(capture.stats());
      }
    });
    await using trace = await open(`file:${file}`);
    const theirs = hex(await readAll(trace)).filter((frame) => frame !== primer.toString('hex'));
    expect(theirs).toHaveLength(expected);
    for (const ours of seen) expect(hex(ours)).toEqual(theirs);
  });

  const both = 'inbound and ether[14:2] = 5 or (outbound and ether[14:2] = 6)';
  test.each([
    ['inbound', ['in 5', 'in 6']],
    ['outbound and vlan 5', ['out 5']],
    ['inbound and not vlan 6', ['in 5']],
    [both, ['in 5', 'out 6']],
  ] as const)('sees the tag that the kernel takes out: "%s"', async (filter, expected) => {
    await using ring = await open(`afpacket:${rx}`, { filter });
    await using copies = await open(`pcap:${rx}`, { filter });
    const frames = [5, 6].map((vlan) => datagram(1, [[0x8100, vlan]]));
    const back = [5, 6].map((vlan) => datagram(2, [[0x8100, vlan]]));
    await sendRaw(tx, frames);
    await sendRaw(rx, back);
    const names = (seen: Seen[]) =>
      seen.map(({ data }) => `${data.readUInt16BE(38) === 1 ? 'in' : 'out'} ${data.readUInt16BE(14)}`);
    expect(names(await drain(ring))).toEqual(expected);
    // libpcap does not tell which way a packet went: where that alone decides, none is lost.
    const copied = names(await drain(copies));
    if (filter === both) {
      expect(copied).toEqual(expect.arrayContaining([...expected]));
      expect(copies.plan.filterReason ?? JSON.stringify(copies.plan)).toMatch(/which way/);
    } else {
      expect(copied).toEqual(expected);
    }
  });

  test('is refused where nobody knows, and told what to use', async () => {
    for (const uri of [`afxdp:${rx}`, 'synth:?count=5']) {
      for (const filter of ['inbound', 'outbound and udp', 'ifindex 3']) {
        const error = await failure(() => open(uri, { filter, fallback: false }));
        expect(error).toMatchObject({ code: 'RINGTAP_BAD_FILTER' });
        expect(error.message).toContain(filter);
        expect(error.hint).toMatch(/direction|interface/);
      }
    }
  });
});

describe.skipIf(lab === null)('a tagged frame on any', () => {
  const frame = datagram(1, [[0x8100, 0xa005]]);
  const tails = async (file: string, ...args: string[]) =>
    (await tcpdump('-e', '-r', file, ...args)).flatMap((line) => /vlan \d+.*/.exec(line)?.[0] ?? []).sort();

  test('has its tag behind the cooked header, as on pcap:any and in tcpdump', async () => {
    await using ring = await open('afpacket:any');
    await using copies = await open('pcap:any');
    const seen: Seen[][] = [];
    const file = await dumped(['-i', 'any', '-y', 'LINUX_SLL'], 24 + 2 * 82, async () => {
      await sendRaw(tx, [frame]);
      for (const capture of [ring, copies]) seen.push(await drain(capture));
    });
    expect(await tails(file)).toHaveLength(2); // it goes out of one interface and comes in on another
    const [ours, theirs] = seen.map((some) => some.filter(({ data }) => data.includes(frame.subarray(18))));
    for (const { data, wirelen, vlan, flags } of ours!) {
      expect([data.readUInt16BE(0), data.readUInt16BE(20), data.readUInt16BE(22)]).toEqual([0x8100, 0xa005, 0x0800]);
      expect([data.length, wirelen, vlan, flags & ~1]).toEqual([20 + frame.length - 14, 20 + frame.length - 14, 0, 0]);
      expect(data.subarray(24)).toEqual(frame.subarray(18));
    }
    // All but the number of the interface, which libpcap keeps to itself.
    const known = (seen: Seen[]) => seen.map(({ data }) => data.toString('hex', 0, 4) + data.toString('hex', 8)).sort();
    expect(known(theirs!)).toEqual(known(ours!));
    expect([ring, copies].map(({ linkType }) => linkType)).toEqual([276, 276]);
    for (const { data, wirelen, vlan } of theirs!)
      expect([data.readUInt32BE(4), wirelen, vlan]).toEqual([0, data.length, 0]);
  });

  test.each(['udp', 'not ip', 'ether proto 0x8100', 'outbound'])(
    'matches "%s" on afpacket:any if it does on pcap:any',
    async (filter) => {
      await using ring = await open('afpacket:any', { filter });
      await using copies = await open('pcap:any', { filter });
      await sendRaw(tx, [...mixture(), frame]);
      const tail = (seen: Seen[]) =>
        seen
          .map(({ data }) => data.toString('hex', 20))
          .filter((text) => text.startsWith('45') || text.includes('080045'))
          .sort();
      const ours = tail(await drain(ring));
      expect(ours).toEqual(tail(await drain(copies)));
      expect(ours.length).toBeGreaterThan(0);
    },
  );

  test('keeps its tag beside the bytes with vlan: metadata, and filters still see it', async () => {
    await using plain = await open('afpacket:any', { vlan: 'metadata', filter: 'ether proto 0x8100' });
    await sendRaw(tx, [frame, datagram(2)]);
    const seen = await drain(plain);
    expect(seen).toHaveLength(2);
    for (const { data, vlan } of seen) {
      expect([data.readUInt16BE(0), vlan]).toEqual([0x0800, 0xa005]);
      expect(data.subarray(20)).toEqual(frame.subarray(18));
    }
  });
});

describe.skipIf(lab === null)('a filter whose name server is dead', () => {
  // What is sent to the name server goes out of an interface behind which nobody is.
  beforeAll(async () => {
    await run('ip', 'link', 'add', 'nowhere', 'arp', 'off', 'type', 'veth', 'peer', 'name', 'nobody');
    await run('ip', 'addr', 'add', '198.51.100.1/24', 'dev', 'nowhere');
    for (const name of ['nowhere', 'nobody']) await run('ip', 'link', 'set', name, 'up');
  });
  afterAll(async () => {
    await run('ip', 'link', 'delete', 'nowhere');
  });
  /** Ten seconds is what a look-up takes unless the resolver is told otherwise. */
  const dead = (resolver: string) => {
    const file = path(`resolv${++dumps}.conf`);
    writeFileSync(file, `nameserver 198.51.100.2\n${resolver}`);
    const prefix = ['unshare', '-m', 'sh', '-c', `mount --bind "${file}" /etc/resolv.conf && exec "$@"`, 'sh'];
    return { prefix, timeoutMs: 60_000 };
  };

  test('is given up at once, keeps no other waiting, and does not hold up the end of the process', async () => {
    const { code, stdout, stderr } = await script(
      `import { open } from 'ringtap';
       const stop = new AbortController();
       let waits = true;
       const first = open('synth:?count=5', { filter: 'host slow.example', signal: stop.signal });
       first.then(() => (waits = 'opened'), (error) => (waits = error.name));
       for (let i = 0; i < 2; i++) open('synth:?count=5', { filter: 'host slow.example and udp' }).catch(() => {});
       await new Promise((resolve) => setTimeout(resolve, 300));
       const other = await open('${tx === '' ? 'synth:' : `afpacket:${tx}`}', { filter: 'udp port 53' });
       const waited = waits;
       await other.close();
       stop.abort();
       await first.catch(() => {});
       console.log(waited, waits);
       process.on('exit', () => console.log(Date.now()));
       process.exit(0);`,
      dead(''),
    );
    const ended = Date.now();
    const [settled, exited] = stdout.trim().split('\n');
    expect({ code, settled, stderr }).toEqual({ code: 0, settled: 'true AbortError', stderr: '' });
    expect(ended - Number(exited)).toBeLessThan(4000); // a look-up takes ten seconds
  });

  test('does not hold up the end of a worker, which its compiler outlives', async () => {
    const terminate = (waitMs: number) =>
      `import { Worker } from 'node:worker_threads';
       const body = async () => {
         const [{ open }, { parentPort }] = await Promise.all([import('ringtap'), import('node:worker_threads')]);
         open('synth:?count=5', { filter: 'host slow.example' }).catch(() => {});
         parentPort.postMessage('opening');
       };
       const worker = new Worker('(' + body + ')()', { eval: true });
       worker.on('error', (error) => console.log(error));
       await new Promise((resolve) => worker.once('message', resolve));
       await new Promise((resolve) => setTimeout(resolve, 200));
       const before = Date.now();
       await worker.terminate();
       console.log(Date.now() - before < 4000);
       await new Promise((resolve) => setTimeout(resolve, ${waitMs}));
       process.exit(0);`;
    const endings = await Promise.all([
      script(terminate(0), dead('')),
      script(terminate(3000), dead('options timeout:1 attempts:1\n')), // it comes back to where its worker was
    ]);
    for (const ending of endings) {
      expect(ending).toEqual({ code: 0, signal: null, stdout: 'true\n', stderr: '', late: false });
    }
  });
});

test.skipIf(lab === null)('a process with more rights than its user loads no library that the user names', async () => {
  const node = path('node-with-rights');
  copyFileSync(process.execPath, node);
  chmodSync(node, 0o755);
  chmodSync(path('.'), 0o755);
  await run('setcap', 'cap_net_raw+ep', node);
  const source = `import { open } from 'ringtap';
    try { await open('synth:?count=1', { filter: 'udp' }); console.log('opened'); } catch (error) { console.log(error.code); }
    process.exit(0);`;
  const env = { RINGTAP_LIBPCAP: '/nonexistent/libpcap.so' };
  const prefix = ['setpriv', '--reuid=65534', '--clear-groups'];
  expect((await script(source, { env, prefix })).stdout).toBe('RINGTAP_BACKEND_MISSING\n');
  expect((await script(source, { env, prefix, node })).stdout).toBe('opened\n');
});
