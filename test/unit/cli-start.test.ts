// What a short run of the command takes: a trace of a few packets should not cost the loading of everything.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { ethernet, ipv4, udp, writePcap } from '../support/trace.js';

const path = temporaryFolder();
const trace = path('one.pcap');
writePcap(trace, [{ data: ethernet(0x0800, ipv4({ protocol: 17 }, udp(40000, 53, Buffer.alloc(22, 7)))) }]);
let folders = 0;

/** The modules that a run loads, as V8 tells. */
async function loaded(...args: string[]): Promise<string[]> {
  const folder = path(`coverage-${++folders}`);
  await startRingtap(args, { env: { NODE_V8_COVERAGE: folder } }).outcome;
  const scripts = readdirSync(folder).flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')).result);
  return scripts.flatMap(({ url }: { url: string }) => /\/dist\/(.*)$/.exec(url)?.[1] ?? []);
}

test('a command loads no other one, and no printer that it does not need', async () => {
  const modules = await loaded('info', '/dev/null');
  expect(modules).toContain('cli/info.js');
  for (const other of ['capture.js', 'convert.js', 'man.js', 'completion/index.js', 'extcap/index.js']) {
    expect(modules).not.toContain(`cli/${other}`);
  }
  expect(modules.filter((name) => name.startsWith('cli/print/'))).toEqual([]);
});

test('nothing of other hosts is loaded before one is named', async () => {
  for (const command of ['info', 'flows']) {
    const modules = await loaded(command, trace);
    expect(modules).toContain(`cli/${command}.js`);
    expect(modules.filter((name) => /^(rpcap|serve|remote|tcp|tls)\//.test(name))).toEqual([]);
  }
});

test('nothing that writes or exports is loaded where nothing is', async () => {
  for (const command of ['info', 'flows']) {
    const modules = await loaded(command, trace);
    expect(modules.filter((name) => /^(index\.js|(write|export)\/)/.test(name))).toEqual([]);
  }
  const modules = await loaded('flows', trace, '-w', path('records.csv'));
  expect(modules).toContain('export/lines.js');
});

test('help knows all of them', async () => {
  const modules = await loaded('help');
  for (const command of ['info.js', 'capture.js', 'extcap/index.js']) expect(modules).toContain(`cli/${command}`);
});
