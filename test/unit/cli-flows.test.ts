// `ringtap flows` on traces.
import { copyFileSync, existsSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { lines, ringtap, shell, startRingtap } from '../support/cli.js';
import { Collector } from '../support/exporting.js';
import { flowsOf } from '../support/flow-cases.js';
import { temporaryFolder } from '../support/folder.js';
import { writePcap } from '../support/trace.js';
import { asleep, until, within } from '../support/wait.js';

const path = temporaryFolder();
const { packets, expected } = flowsOf(21, 300);
const file = path('flows.pcap');
writePcap(file, packets);
const total = packets.reduce((sum, { data }) => sum + data.length, 0);

describe('ringtap flows', () => {
  test('--json is a line of EVE for each flow, and the account goes to stderr', async () => {
    const { code, stdout, stderr } = await ringtap('flows', file, '--json');
    expect(code).toBe(0);
    const records = lines(stdout).map((line) => JSON.parse(line));
    expect(records).toHaveLength(expected.length);
    expect(records.every(({ event_type }) => event_type === 'flow')).toBe(true);
    const bytes = records.reduce((sum, { flow }) => sum + flow.bytes_toserver + flow.bytes_toclient, 0);
    expect(bytes).toBe(total);
    expect(stderr).toMatch(/ packets, [\d,]+ of them in 300 flows\n300 records \(/);
  });

  test('--csv has the names first, also where there is no flow', async () => {
    const { stdout } = await ringtap('flows', file, '--csv');
    const [head, ...rows] = lines(stdout);
    expect(head).toMatch(/^start,end,proto,src_ip,/);
    expect(rows).toHaveLength(expected.length);
    const none = await ringtap('flows', file, '--csv', 'arp');
    expect(lines(none.stdout)).toEqual([head]);
  });

  test('without them it is a table of the largest, with --top one of sums', async () => {
    const { stdout } = await ringtap('flows', file);
    const [head, ...rows] = lines(stdout);
    expect(head).toMatch(/^protocol +source +destination +ended +packets +bytes +duration$/);
    expect(rows).toHaveLength(20);
    const ports = await ringtap('flows', file, '--top', 'port');
    const [ofPorts, first, second, ...others] = lines(ports.stdout);
    expect(ofPorts).toMatch(/^protocol +port +packets +bytes +flows$/);
    expect([first, second].map((row) => /^\w+ +\d+/.exec(row!)![0].replace(/ +/, ' ')).sort()).toEqual([
      'TCP 443',
      'UDP 8053',
    ]);
    expect(others).toEqual([]);
    for (const [top, rows] of Object.entries({ src: 20, dst: 18, pair: 20 })) {
      expect(lines((await ringtap('flows', file, '--top', top)).stdout)).toHaveLength(rows + 1);
    }
  });

  test('many traces are one, -c counts packets, and a filter is a filter', async () => {
    const both = await ringtap('flows', `file:${file},${file}?order=time`, '--json');
    expect(lines(both.stdout).length).toBe(expected.length);
    const few = await ringtap('flows', file, '-c', '5');
    expect(few.stderr).toContain('5 packets, 5 of them');
    const udp = await ringtap('flows', file, '--json', '--no-decap', 'udp port 8053 and not vlan and ip');
    expect(lines(udp.stdout).every((line) => line.includes('"dest_port":8053'))).toBe(true);
  });

  test('a trace that is cut gives the flows before, then the error', async () => {
    const cut = path('cut.pcap');
    const { code, stdout, stderr } = await shell(`head -c 5000 ${file} > ${cut}; ringtap flows ${cut} --json`);
    expect(code).toBe(1);
    expect(lines(stdout).length).toBeGreaterThan(5);
    expect(stderr).toContain('hint: ');
  });

  test('what goes with nothing is wrong usage', async () => {
    for (const args of [
      ['--json', '--csv'],
      ['--top', 'x'],
      ['--csv', '--top', 'src'],
      ['--idle-timeout', '0'],
      ['--max-flows', '-1'],
    ]) {
      expect((await ringtap('flows', file, ...args)).code).toBe(2);
    }
    expect((await ringtap('flows')).stderr).toContain('ringtap flows eth0');
  });

  test.each(['ipfix', 'parquet', 'csv', 'jsonl'])('-w x.%s writes a file, and nothing to stdout', async (suffix) => {
    const written = path(`w.${suffix}`);
    const { code, stdout, stderr } = await ringtap('flows', file, '-w', written);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toContain(suffix === 'ipfix' ? '300 records exported in ' : '300 records written, ');
    expect(statSync(written).size).toBeGreaterThan(1000);
    const again = await ringtap('flows', file, '-w', written);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('--force') });
    expect((await ringtap('flows', file, '-w', written, '--force')).code).toBe(0);
  });

  test('a full disk behind standard output is told', async () => {
    const { stdout, stderr } = await shell(`ringtap flows 'synth:?count=2000' --json > /dev/full; echo $?`);
    expect(stdout).toBe('1\n');
    expect(stderr).toMatch(/standard output: .*ENOSPC|standard output: .*no space/i);
    expect(stderr).toContain('hint: ');
  });

  test('a disk that takes the end of the output in part is told', async () => {
    // A limit of 64 KiB stands for it: what goes over it is written in part first.
    const limited = `trap '' XFSZ; ulimit -f 64; ringtap flows 'synth:?count=2000' --json > ${path('cut.json')}; echo $?`;
    const { stdout, stderr } = await shell(limited);
    expect(stdout).toBe('1\n');
    expect(stderr).toMatch(/standard output: /);
    expect(statSync(path('cut.json')).size).toBe(64 * 1024);
  });

  test.each(['csv', 'parquet'])(
    'the trace that is read is not written over, whatever it is called: .%s',
    async (suffix) => {
      const own = path(`own.${suffix}`);
      copyFileSync(file, own);
      symlinkSync(own, path(`link.${suffix}`));
      for (const written of [own, path(`link.${suffix}`)]) {
        const outcome = await ringtap('flows', '-r', own, '-w', written, '--force');
        expect(outcome).toMatchObject({
          code: 2,
          stderr: expect.stringContaining('is one of the traces that are read'),
        });
      }
      expect(readFileSync(own)).toEqual(readFileSync(file));
    },
  );

  test('-w - is standard output, of lines', async () => {
    for (const form of ['--json', '--csv']) {
      const { code, stdout } = await ringtap('flows', file, form, '-w', '-');
      expect(code).toBe(0);
      expect(lines(stdout)).toHaveLength(expected.length + (form === '--csv' ? 1 : 0));
    }
    expect(existsSync('-')).toBe(false);
    expect(await ringtap('flows', file, '-w', '-')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--csv or --json'),
    });
  });

  test.each([
    ['--ipfix 127.0.0.1:4739 --tls', 'Write --ipfix tls://127.0.0.1:4739.'],
    ['--netflow 127.0.0.1:2055 --tls-insecure', 'Use --ipfix tls://'],
    ['--enterprise 32473', '--enterprise is about IPFIX'],
    ['--enterprise 32473 --netflow 127.0.0.1:2055', '--enterprise is about IPFIX'],
  ])('%s goes with nothing, and is told', async (options, told) => {
    const outcome = await ringtap('flows', file, ...options.split(' '));
    expect(outcome).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(told) });
  });

  test('a name that says no format, and a collector that is not there, are told', async () => {
    expect(await ringtap('flows', file, '-w', path('w.x'))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--csv or --json'),
    });
    expect((await ringtap('flows', file, '--csv', '-w', path('w.x'))).code).toBe(0);
    const nobody = await ringtap('flows', file, '--ipfix', 'tcp://127.0.0.1:1');
    expect(nobody).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('Nobody listens there') });
    for (const collector of ['--ipfix', '--netflow']) {
      expect(await ringtap('flows', file, collector, '127.0.0.1:1')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          /at least \d datagrams? w\S+ refused: nobody listened there then.*refused them: nobody/s,
        ),
      });
    }
    const reverse = await ringtap('flows', file, '-w', path('reverse.ipfix'), '--enterprise', '29305');
    expect(reverse).toMatchObject({ code: 2, stderr: expect.stringContaining('must not be 29305') });
    expect((await ringtap('flows', file, '--ipfix', 'sctp://127.0.0.1:1')).code).toBe(2);
    expect((await ringtap('flows', file, '--ipfix', 'x', '--enterprise', '-1')).code).toBe(2);
  });
});

describe('a collector that never reads', () => {
  const collector = new Collector();
  collector.deaf = true;
  afterAll(() => collector.close());

  test('holds a trace back; a signal gives up what it does not take, and that is told', async () => {
    const port = await collector.listen();
    // A record of each packet: 16 MiB of them wait, and some more the kernel takes.
    const many = 'synth:?count=600000&flows=16000';
    const running = startRingtap(['flows', many, '--max-flows', '1', '--ipfix', `tcp://127.0.0.1:${port}`]);
    await until(() => collector.sockets.length > 0, 'a connection');
    await asleep(running.process.pid!);
    expect(running.process.exitCode).toBeNull();
    running.process.kill('SIGINT');
    const { code, stderr } = await within(running.outcome, 'its end');
    expect(code).toBe(1);
    expect(stderr).toMatch(/[\d,]+ records exported in .* not \(closed\)/);
    expect(stderr).toMatch(/[\d,]+ of [\d,]+ records were not sent/);
    expect(stderr).toMatch(/packets, [\d,]+ of them in/);
    expect(stderr).not.toContain('queue');
  });
});
