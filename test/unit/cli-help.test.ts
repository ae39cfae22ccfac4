// `ringtap help`, and the manual page.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ERROR_TABLE } from '../../lib/generated/errors.js';
import { BACKENDS } from '../../lib/generated/schema.js';
import { root } from '../support/child.js';
import { lines, ringtap, start, startRingtap } from '../support/cli.js';

async function help(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await ringtap('help', ...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

describe('ringtap help', () => {
  test('of a command is its --help, and of nothing that of all', async () => {
    for (const command of ['capture', 'list', 'completion', 'help']) {
      expect(await help(command)).toBe((await ringtap(command, '--help')).stdout);
    }
    expect(await help()).toBe((await ringtap('--help')).stdout);
    expect(await help()).not.toContain('__');
  });

  test('uri lists every scheme with its aliases', async () => {
    const text = await help('uri');
    for (const { name, title, aliases } of BACKENDS) {
      expect(text).toContain(`  ${name}:`);
      expect(text).toContain(title);
      for (const alias of aliases) expect(text).toContain(`${alias}:`);
    }
  });

  test.each(BACKENDS.map(({ name, options }) => [name, options] as const))(
    'uri %s lists its options with what they take',
    async (name, options) => {
      const text = await help('uri', name);
      const words = text.replaceAll(/\s+/g, ' ');
      for (const { name: option, doc, values = [] } of options) {
        expect(text).toMatch(new RegExp(`^  ${option}\\b`, 'm'));
        expect(words).toContain(doc.replaceAll(/\s+/g, ' '));
        for (const value of values) expect(text).toContain(value);
      }
      expect(await help('uri', `${name}:`)).toBe(text);
    },
  );

  test('uri takes an alias, and sizes are told as they may be written', async () => {
    expect(await help('uri', 'ring')).toBe(await help('uri', 'afpacket'));
    expect(await help('uri', 'afpacket')).toMatch(/bufferBytes +\[64k to 16G bytes; default 64M\]/);
    const { code } = await ringtap('stats', 'synth:?count=1&bufferBytes=1M');
    expect(code).toBe(0);
  });

  test('filters shows expressions that libpcap takes', async () => {
    const text = await help('filters');
    const expressions = lines(text.slice(text.indexOf('Expressions:'), text.indexOf('Quote what')))
      .map((line) => /^ {2}(\S.*?)(?: {2,}|$)/.exec(line)?.[1])
      .filter((expression) => expression !== undefined);
    expect(expressions.length).toBeGreaterThan(8);
    for (const expression of expressions) {
      const uri = expression.includes('tunnel') ? 'synth:?count=10&decap=auto' : 'synth:?count=10';
      const { code, stderr } = await ringtap('stats', uri, expression);
      expect({ code, stderr: stderr.includes('syntax') }, expression).toEqual({ code: 0, stderr: false });
    }
  });

  test('errors lists the codes, and says of one what helps', async () => {
    const text = await help('errors');
    for (const [code, { hint }] of Object.entries(ERROR_TABLE)) {
      expect(text).toContain(`  ${code.replace('RINGTAP_', '')}`);
      const one = (await help('errors', code)).replaceAll(/\s+/g, ' ');
      expect(one).toContain(hint.replaceAll(/\s+/g, ' '));
    }
    expect(await help('errors', 'bad_filter')).toBe(await help('errors', 'RINGTAP_BAD_FILTER'));
  });

  test.each([
    [['nonsense'], /^ringtap: there is nothing about "nonsense"\nhint: Topics: uri filters errors; commands: /],
    [['uri', 'zynth'], /^ringtap: there is no scheme "zynth:"\nhint: Known schemes: afpacket /],
    [['errors', 'E1'], /^ringtap: there is no error code "E1"\nhint: /],
    [['constructor'], /^ringtap: there is nothing about "constructor"/],
    [['errors', 'constructor'], /^ringtap: there is no error code/],
  ])('%j, which there is not, ends with 2', async (args, message) => {
    const { code, stdout, stderr } = await ringtap('help', ...args);
    expect(stderr).toMatch(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  test('fits 60 columns', async () => {
    for (const args of [['uri'], ['uri', 'dpdk'], ['filters'], ['errors'], ['errors', 'SYSTEM']]) {
      const { stdout } = await startRingtap(['help', ...args], { env: { COLUMNS: '60' } }).outcome;
      const long = lines(stdout).filter((line) => line.length > 60 && /\S \S/.test(line.trim()));
      expect(long.filter((line) => !/^( +\$|\S+: )/.test(line) && !line.includes('   '))).toEqual([]);
    }
  });
});

const commands =
  'list doctor explain capture stats read info index merge split convert replay rpcapd extcap completion help'.split(
    ' ',
  );

describe('the manual page', () => {
  const page = join(root, 'dist/man/ringtap.1');

  test('is built, is what `help --man` prints, and package.json names it', async () => {
    expect(readFileSync(page, 'utf8')).toBe(await help('--man'));
    expect(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).man).toBe('./dist/man/ringtap.1');
  });

  test('says nothing that man complains of', async () => {
    const { code, stdout, stderr } = await start('man', ['--warnings', '-l', page], { env: { MANWIDTH: '100' } })
      .outcome;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^NAME\n +ringtap - capture packets/m);
  });

  test('has every command and every option that --help has', async () => {
    const { stdout } = await start('man', ['-l', page], { env: { MANWIDTH: '300' } }).outcome;
    for (const command of commands) {
      expect(stdout).toMatch(new RegExp(`^   ${command}$`, 'm'));
      for (const [, flags] of (await ringtap(command, '--help')).stdout.matchAll(/^ {2}(-\S.*?)(?: {2,}|$)/gm)) {
        if (!flags!.includes('--help')) expect(stdout).toContain(`       ${flags}`);
      }
    }
    expect(stdout).not.toMatch(/^ {3}bench/m);
    expect(stdout).not.toMatch(/^ +\.$/m); // an argument that nothing is said of
    expect(stdout).toContain(' duration:N, interval:N'); // as it is typed
    expect(stdout).toContain(' time:60s, bytes:100M');
    expect(stdout).toContain("jq -r '.[].uris[0]'");
  });
});

describe('a hint of the command', () => {
  test.each([
    [['capture', 'synth:', 'udp prot 53'], /hint: `ringtap help filters` has examples/],
    [['read', join(root, 'package.json')], /hint: (?!.*`position`)/],
  ])('of %j is about command lines', async (args, hint) => {
    expect((await ringtap(...args)).stderr).toMatch(hint);
  });
});
