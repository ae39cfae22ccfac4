// Flows of a running capture: as many packets as were sent, and Ctrl-C tells what is open.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { lines, startRingtap } from '../support/cli.js';
import { lab, labMissing, send } from '../support/lab.js';

const rx = lab?.rx ?? 'rt1';

describe.skipIf(lab === null)(`flows on an interface${labMissing ? ` (skipped: ${labMissing})` : ''}`, () => {
  test.each(['afpacket', 'pcap'])(
    'with %s: all packets are in flows, which end by the clock or by Ctrl-C',
    async (backend) => {
      const run = startRingtap([
        'flows',
        `${backend}:${rx}`,
        '--json',
        '--idle-timeout',
        '1s',
        'udp',
        'dst',
        'port',
        '9',
      ]);
      let early = '';
      run.process.stdout!.on('data', (chunk) => {
        early += chunk;
      });
      await once(run.process.stderr!, 'data');
      const { sent } = await send({ count: 20_000, rate: 50_000, flows: 100 });
      await sleep(3500); // idle for a second, and the clock looks once a second
      const idle = lines(early).map((line) => JSON.parse(line));
      await send({ count: 1, rate: 1000 });
      await sleep(300);
      run.process.kill('SIGINT');
      const { code, stdout } = await run.outcome;
      expect(code).toBe(0);
      const records = lines(stdout).map((line) => JSON.parse(line));
      const packetsOf = (some: typeof records) => some.reduce((sum, { flow }) => sum + flow.pkts_toserver, 0);
      expect(packetsOf(idle)).toBe(sent);
      expect(new Set(idle.map(({ flow }) => flow.ended))).toEqual(new Set(['idle']));
      expect(packetsOf(records)).toBe(sent + 1);
      expect(records.at(-1).flow.ended).toBe('flushed');
    },
  );
});
