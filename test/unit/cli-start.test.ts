// What a short run of the command takes: a trace of a few packets should not cost the loading of everything.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();
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
  const modules = await loaded('info', '/dev/null');
  const others = modules.filter((name) => /^(rpcap|serve|tcp|tls)\//.test(name));
  expect(others).toEqual(['serve/users.js']); // userLine(), which is small
});

test('help knows all of them', async () => {
  const modules = await loaded('help');
  for (const command of ['info.js', 'capture.js', 'extcap/index.js']) expect(modules).toContain(`cli/${command}`);
});
