// A bump in the wire between a client and a server, each in a network namespace of its own.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type InlineStats, open, openInline } from 'ringtap';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  type Bump,
  CLIENT,
  closeBump,
  datagram,
  type End,
  echo,
  IN,
  IN6,
  makeBump,
  OUT,
  offload,
  RULE,
  RULE6,
  SERVER,
  transfer,
} from '../support/bump.js';
import { temporaryFolder } from '../support/folder.js';
import { lab } from '../support/lab.js';
import { failure, readAll } from '../support/packets.js';
import { until } from '../support/wait.js';

const MB = 2 ** 20;

function expectBalanced({ rules }: InlineStats): void {
  for (const { name, toServer, toClient } of rules) {
    for (const way of [toServer, toClient]) {
      expect(way.ingress, `${name} ${JSON.stringify(way)}`).toBe(way.egress + way.dropped + way.waiting);
    }
  }
}

/** Frames of a trace as text, in their order. */
async function framesOf(path: string): Promise<string[]> {
  await using capture = await open(`file:${path}`);
  return (await readAll(capture)).map(({ data }) => data.toString('hex'));
}

/** Where two traces begin to differ, and how. WHY not toEqual(): thousands of frames are not to be printed. */
function firstDifference(ours: readonly string[], theirs: readonly string[]): string | undefined {
  const at = ours.findIndex((frame, i) => frame !== theirs[i]);
  const lengths = `of ${ours.length} and ${theirs.length}`;
  if (at >= 0) return `frame ${at} ${lengths}: ${ours[at]?.slice(0, 120)} is not ${theirs[at]?.slice(0, 120)}`;
  return ours.length > 0 && ours.length === theirs.length ? undefined : `${ours.length} frames, not ${theirs.length}`;
}

/** How many packets have a checksum that is wrong, by another program's judgement. What ICMP quotes is not judged. */
function wrongSums(path: string): number {
  const kinds = ['ip', 'tcp', 'udp'];
  const checks = kinds.flatMap((kind) => ['-o', `${kind}.check_checksum:TRUE`]);
  const wrong = [...kinds, 'icmp', 'icmpv6'].map((kind) => `${kind}.checksum.status == 0`).join(' || ');
  const isQuote = '(icmp.type == 3 || icmp.type == 11)';
  const filter = `(${wrong}) && !(${isQuote} && ip.checksum.status != 0 && icmp.checksum.status != 0)`;
  const seen = execFileSync('tshark', ['-r', path, ...checks, '-Y', filter], { stdio: ['ignore', 'pipe', 'ignore'] });
  return seen.toString().split('\n').filter(Boolean).length;
}

/** What another program sees at an end, until it is asked to stop. */
async function tcpdump(end: End, path: string): Promise<() => Promise<void>> {
  const child = end.spawn(
    'tcpdump',
    '-i',
    end.device,
    '-B',
    '65536',
    '-s',
    '2000',
    '-U',
    '--immediate-mode',
    '-w',
    path,
    'ip or ip6 or vlan',
  );
  let said = '';
  child.stderr!.on('data', (text) => (said += text));
  await once(child.stderr!, 'data');
  return async () => {
    await new Promise((done) => setTimeout(done, 1500)); // the kernel hands over what is there once a second
    child.kill('SIGINT');
    await once(child, 'close');
    expect(said, 'what it saw whole').toContain('\n0 packets dropped by kernel');
  };
}

describe.skipIf(lab === null)('inline', () => {
  let bump: Bump;
  const file = temporaryFolder();

  beforeAll(async () => {
    bump = await makeBump();
  });
  afterAll(() => closeBump(bump));

  test.each([
    ['on', 20 * MB],
    ['off', 4 * MB],
  ] as const)(
    'a transfer arrives as it was sent, with checksum offload %s at every end, and traces have no wrong sum',
    async (state, bytes) => {
      const at = (name: string) => file(`${name}-${state}.pcapng`);
      offload(bump, state);
      onTestFinished(() => offload(bump, 'on'));
      const capture = { ingress: at('ingress'), egress: at('egress'), inline: at('inline') };
      await using inline = await openInline(RULE, { capture });
      // With offload the ends see sums that are not there yet, and packets before they are cut.
      const isSame = state === 'off';
      const stops = isSame ? [await tcpdump(bump.client, at('a')), await tcpdump(bump.server, at('b'))] : [];
      const { seen, sent } = await transfer(bump, bytes);
      expect(seen).toBe(`${OUT} ${sent}`);
      expect(sent).toMatch(new RegExp(`^${bytes} [0-9a-f]{64}$`));
      expect(await datagram(bump.client, IN, 9, 10)).toBe('ECONNREFUSED');
      for (const stop of stops) await stop();
      await inline.close();
      const stats = inline.stats();
      expectBalanced(stats);
      const [{ toServer, toClient }] = stats.rules as [InlineStats['rules'][number]];
      expect([toServer.dropped, toClient.dropped]).toEqual([0, 0]);
      for (const name of ['ingress', 'egress', 'inline'] as const) {
        expect(stats.taps[name]).toMatchObject({ packets: toServer.egress + toClient.egress, dropped: 0 });
        expect(wrongSums(at(name)), name).toBe(0);
      }
      if (!isSame) return;
      // WHY sorted: what is sent from two CPUs may overtake on its way to the other end.
      const of = async (name: string, offset: number, address: string) =>
        (await framesOf(at(name))).filter((frame) => frame.slice(offset, offset + 8) === address).sort();
      const [came, wasSent] = [await of('ingress', 52, '0a510002'), await of('egress', 60, '0a520002')];
      expect(firstDifference(came, await of('a', 52, '0a510002'))).toBeUndefined();
      expect(firstDifference(wasSent, await of('b', 60, '0a520002'))).toBeUndefined();
    },
    60_000,
  );

  test('datagrams that are longer than the link pass in fragments, and IPv6 passes', async () => {
    await using inline = await openInline(`${RULE}\n${RULE6}`);
    const { child } = await echo(bump.server);
    onTestFinished(() => void child.kill());
    expect(await datagram(bump.client, IN, 7, 4000)).toBe('answer 4000');
    expect(await datagram(bump.client, IN6, 7, 4000)).toBe('answer 4000');
    expect(await datagram(bump.client, IN6, 9, 4)).toBe('ECONNREFUSED');
    const { seen, sent } = await transfer(bump, MB, IN6);
    expect(seen).toBe(`fd82::5 ${sent}`);
    expectBalanced(inline.stats());
  });

  test('by AF_XDP all of it arrives as it was sent, sums complete or left to the card, and what is sent has no wrong one', async () => {
    const uri = file('afxdp.pcapng');
    await using inline = await openInline(`${RULE}\n${RULE6}`, { method: 'afxdp', capture: { egress: uri } });
    const { child } = await echo(bump.server);
    onTestFinished(() => void child.kill());
    onTestFinished(() => offload(bump, 'on'));
    const { seen, sent } = await transfer(bump, 4 * MB);
    expect(seen).toBe(`${OUT} ${sent}`);
    expect(sent).toMatch(new RegExp(`^${4 * MB} [0-9a-f]{64}$`));
    const answers = [IN, IN6].flatMap((to) => [datagram(bump.client, to, 7, 1200), datagram(bump.client, to, 9, 10)]);
    const each = ['answer 1200', 'ECONNREFUSED'];
    expect(await Promise.all([...answers, datagram(bump.client, IN, 7, 4000)])).toEqual([
      ...each,
      ...each,
      'answer 4000',
    ]);
    offload(bump, 'off');
    const again = await transfer(bump, MB, IN6);
    expect(again.seen).toBe(`fd82::5 ${again.sent}`);
    await inline.close();
    const stats = inline.stats();
    expectBalanced(stats);
    for (const { toServer, toClient } of stats.rules) expect([toServer.dropped, toClient.dropped]).toEqual([0, 0]);
    expect(stats.interfaces.map(({ missed }) => missed)).toEqual([0, 0]);
    const egress = stats.rules.reduce((all, { toServer, toClient }) => all + toServer.egress + toClient.egress, 0);
    expect(stats.taps.egress).toMatchObject({ packets: egress, dropped: 0 });
    expect(wrongSums(uri)).toBe(0);
  });

  test('a packet whose time is over is told of, and one that is too long for the way out, so that its sender cuts it', async () => {
    await using inline = await openInline(RULE);
    const before = bump.client.counter('Icmp', 'InTimeExcds');
    await bump.client.node(`
      const socket = require('dgram').createSocket('udp4');
      socket.bind(0, () => { socket.setTTL(1); socket.send('x', 7, '${IN}', () => setTimeout(() => socket.close(), 200)); });`);
    expect(bump.client.counter('Icmp', 'InTimeExcds')).toBe(before + 1);
    execFileSync('ip', ['link', 'set', 'm1', 'mtu', '1280']);
    onTestFinished(() => void execFileSync('ip', ['link', 'set', 'm1', 'mtu', '1500']));
    const { seen, sent } = await transfer(bump, MB);
    expect(seen).toBe(`${OUT} ${sent}`);
    expect(bump.client.run('ip', 'route', 'get', IN)).toContain('mtu 1280');
    const stats = inline.stats();
    expectBalanced(stats);
    expect(stats.rules[0]!.toServer.drops).toMatchObject({ ttl: 1 });
    expect(stats.rules[0]!.toServer.drops.tooBig).toBeGreaterThan(0);
    bump.client.run('ip', 'route', 'flush', 'cache');
  });

  test('the tag of a frame comes out as it went in', async () => {
    await using inline = await openInline(RULE);
    const { child } = await echo(bump.server);
    onTestFinished(() => void child.kill());
    await datagram(bump.client, IN, 7, 4);
    const trace = file('tagged.pcap');
    const stop = await tcpdump(bump.server, trace);
    const own = execFileSync('ip', ['-o', 'link', 'show', 'm0'])
      .toString()
      .match(/ether (\S+)/)![1]!;
    const theirs = bump.client.run('ip', '-o', 'link', 'show', 'a0').match(/ether (\S+)/)![1]!;
    // VLAN 0, priority 3: a host that knows no VLANs takes it. The checksum of the datagram is 0: none.
    const header = '450000200001000040110000'.concat('0a5100020a510005');
    const words = header.match(/.{4}/g)!.map((word) => Number.parseInt(word, 16));
    const sum = words.reduce((all, word) => all + word, 0);
    const checksum = (~((sum & 0xffff) + (sum >> 16)) & 0xffff).toString(16).padStart(4, '0');
    const ip = header.slice(0, 20) + checksum + header.slice(24);
    const hex = `${own}${theirs}`.replaceAll(':', '').concat('81006000', '0800', ip, '04d20007000c0000', '74616773');
    const complaint = await bump.client.node(`
      import('${new URL('../../dist/index.js', import.meta.url).href}').then(async ({ openTransmitter }) => {
        const transmitter = await openTransmitter('afxdp:a0');
        transmitter.send(Buffer.from('${hex}', 'hex'));
        await transmitter.flush(); await transmitter.close();
      });`);
    expect(complaint).toBe('');
    expect(inline.stats().rules[0]!.toServer).toMatchObject({ dropped: 0 });
    await stop();
    const tagged = (await framesOf(trace)).filter((frame) => frame.slice(24, 32) === '81006000');
    expect(tagged).toHaveLength(1);
    expect(tagged[0]!.slice(36)).toContain('0a5200050a520002' + '04d20007000c0000' + '74616773');
    expectBalanced(inline.stats());
  });

  test('the host answers nothing that is for a rule, though it forwards and has an address beside', async () => {
    const run = (...args: string[]) => execFileSync(args[0]!, args.slice(1));
    run('ip', 'address', 'add', '10.81.0.1/24', 'dev', 'm0');
    run('sysctl', '-qw', 'net.ipv4.conf.m0.forwarding=1');
    onTestFinished(() => {
      run('ip', 'address', 'del', '10.81.0.1/24', 'dev', 'm0');
      run('sysctl', '-qw', 'net.ipv4.conf.m0.forwarding=0');
    });
    await using inline = await openInline(RULE);
    const before = bump.client.counter('Icmp', 'InMsgs');
    const { child } = await echo(bump.server);
    onTestFinished(() => void child.kill());
    for (let i = 0; i < 3; i++) expect(await datagram(bump.client, IN, 7, 40)).toBe('answer 40');
    expect(bump.client.counter('Icmp', 'InMsgs')).toBe(before);
    expect(inline.stats().rules[0]!.toServer.egress).toBe(3);
  });

  test('rules change a hundred times under load, and the one that stays loses nothing', async () => {
    await using inline = await openInline(RULE, { probe: false });
    const moving = transfer(bump, 20 * MB);
    let changes = 0;
    for (; changes < 100; changes++) {
      const other = `other: m0 ${CLIENT} -> 10.81.0.${10 + changes} => m1 10.82.0.${10 + changes} -> ${SERVER}`;
      await inline.rules.set(changes % 2 === 0 ? `${other}\n${RULE}` : RULE);
    }
    const { seen, sent } = await moving;
    expect(seen).toBe(`${OUT} ${sent}`);
    const [web] = inline.stats().rules;
    expect(web!.name).toBe('web');
    expect(web!.toServer).toMatchObject({ dropped: 0, waiting: 0 });
    expect(web!.toServer.ingress).toBe(web!.toServer.egress);
    expect(web!.toServer.ingressBytes).toBeGreaterThan(20 * MB);
    await inline.rules.remove('web');
    expect(inline.rules.list()).toEqual([]);
    expect(await datagram(bump.client, IN, 7, 4)).not.toMatch(/answer/);
  });

  test('a link that goes down is counted, and forwarding goes on when it is back', async () => {
    await using inline = await openInline(RULE);
    const { child } = await echo(bump.server);
    onTestFinished(() => void child.kill());
    expect(await datagram(bump.client, IN, 7, 4)).toBe('answer 4');
    bump.server.run('ip', 'link', 'set', 'b0', 'down');
    await until(() => !execFileSync('ip', ['link', 'show', 'm1']).toString().includes('LOWER_UP'), 'no link');
    expect(await datagram(bump.client, IN, 7, 4)).toBe('nothing');
    expect(inline.stats().rules[0]!.toServer.drops.linkDown).toBe(1);
    bump.server.run('ip', 'link', 'set', 'b0', 'up');
    await until(() => execFileSync('ip', ['link', 'show', 'm1']).toString().includes('LOWER_UP'), 'a link');
    await until(async () => (await datagram(bump.client, IN, 7, 4)) === 'answer 4', 'an answer');
    expectBalanced(inline.stats());
  });

  test('packets for a server that nobody is are counted, once nobody has answered, and their sender hears of it', async () => {
    const before = bump.client.counter('Icmp', 'InDestUnreachs');
    await using inline = await openInline(`lost: m0 ${CLIENT} -> ${IN} => m1 ${OUT} -> 10.82.0.77`);
    expect(await datagram(bump.client, IN, 7, 4)).toBe('nothing');
    await until(() => inline.stats().rules[0]!.toServer.drops.unresolved === 1, 'it to be given up');
    await until(() => bump.client.counter('Icmp', 'InDestUnreachs') === before + 1, 'the sender to hear of it');
    expect(inline.stats().rules[0]!.toServer.errors).toBe(1);
    expectBalanced(inline.stats());
  });

  test('what is killed leaves nothing behind that keeps the host from its packets', async () => {
    const script = `import('${new URL('../../dist/index.js', import.meta.url).href}').then(async ({ openInline }) => {
      await openInline(${JSON.stringify(RULE)}); console.log('runs'); });`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout!, 'data');
    const { child: server } = await echo(bump.server);
    onTestFinished(() => void server.kill());
    expect(await datagram(bump.client, IN, 7, 4)).toBe('answer 4');
    child.kill('SIGKILL');
    await once(child, 'close');
    // The host takes the address: with the program still there it would see nothing.
    execFileSync('ip', ['address', 'add', `${IN}/24`, 'dev', 'm0']);
    onTestFinished(() => void execFileSync('ip', ['address', 'del', `${IN}/24`, 'dev', 'm0']));
    expect(await datagram(bump.client, IN, 7, 4)).toBe('ECONNREFUSED');
  });

  test('by AF_XDP the host keeps what is its own, other hosts keep their addresses, and what is killed leaves no program', async () => {
    const run = (...args: string[]) => execFileSync(args[0]!, args.slice(1)).toString();
    run('ip', 'address', 'add', '10.81.0.1/24', 'dev', 'm0');
    run('sysctl', '-qw', 'net.ipv4.conf.m0.forwarding=1');
    onTestFinished(() => {
      run('ip', 'address', 'del', '10.81.0.1/24', 'dev', 'm0');
      run('sysctl', '-qw', 'net.ipv4.conf.m0.forwarding=0');
    });
    const taken = RULE.replace(OUT, SERVER).replace(/\S+$/, '10.82.0.9');
    expect(await failure(() => openInline(taken, { method: 'afxdp' }))).toMatchObject({
      code: 'RINGTAP_ADDRESS_IN_USE',
      message: expect.stringMatching(/10\.82\.0\.2 on m1 belongs to ([0-9a-f]{2}:){5}/),
    });
    const script = `import('${new URL('../../dist/index.js', import.meta.url).href}').then(async ({ openInline }) => {
      await openInline(${JSON.stringify(RULE)}, { method: 'afxdp', probe: false });
      for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); } // nobody keeps it, and it goes on
      console.log('runs'); });`;
    const forwarder = spawn(process.execPath, ['--expose-gc', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(forwarder.stdout!, 'data');
    const { child: server } = await echo(bump.server);
    onTestFinished(() => void server.kill());
    const before = bump.client.counter('Icmp', 'InMsgs');
    expect(await datagram(bump.client, IN, 7, 40)).toBe('answer 40');
    expect(bump.client.counter('Icmp', 'InMsgs')).toBe(before); // no redirect
    expect(await datagram(bump.client, '10.81.0.1', 9, 10)).toBe('ECONNREFUSED'); // by the host
    const programs = () =>
      JSON.parse(run('ip', '-j', 'link', 'show')).filter(({ xdp }: { xdp?: unknown }) => xdp !== undefined);
    expect(programs()).toHaveLength(2);
    expect((await failure(() => openInline(RULE, { method: 'afxdp', probe: false }))).code).toBe('RINGTAP_BUSY');
    forwarder.kill('SIGKILL');
    await once(forwarder, 'close');
    await until(() => programs().length === 0, 'the programs to go');
    await using again = await openInline(RULE, { method: 'afxdp', probe: false });
    expect(await datagram(bump.client, IN, 7, 40)).toBe('answer 40');
    expectBalanced(again.stats());
  });

  test.each<[string, string, string, RegExp]>([
    ['an interface that is not there', RULE.replace('m0', 'm9'), 'RINGTAP_NO_INTERFACE', /m9/],
    ['a loopback', RULE.replace('m0', 'lo'), 'RINGTAP_UNSUPPORTED', /Ethernet/],
    [
      'an address of another host',
      RULE.replace(OUT, SERVER).replace(/\S+$/, '10.82.0.9'),
      'RINGTAP_ADDRESS_IN_USE',
      /10\.82\.0\.2 on m1 belongs to ([0-9a-f]{2}:){5}/,
    ],
    [
      'rules that want the same packets',
      `${RULE}\n${RULE.replace('web', 'two')}`,
      'RINGTAP_BAD_OPTION',
      /"web" and "two"/,
    ],
  ])('is refused: %s', async (_, rules, code, message) => {
    const error = await failure(() => openInline(rules));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.hint).not.toBe('');
  });

  test('is refused: an address that this host holds, and an interface that is down', async () => {
    execFileSync('ip', ['address', 'add', `${IN}/24`, 'dev', 'm0']);
    const held = await failure(() => openInline(RULE));
    execFileSync('ip', ['address', 'del', `${IN}/24`, 'dev', 'm0']);
    expect(held).toMatchObject({ code: 'RINGTAP_ADDRESS_IN_USE', message: expect.stringContaining('on m0') });
    execFileSync('ip', ['link', 'set', 'm0', 'down']);
    const down = await failure(() => openInline(RULE));
    execFileSync('ip', ['link', 'set', 'm0', 'up']);
    expect(down).toMatchObject({ code: 'RINGTAP_INTERFACE_DOWN', hint: expect.stringContaining('m0 up') });
  });
});
