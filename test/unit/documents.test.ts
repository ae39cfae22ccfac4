// What stands in the documents is code that works: of each block, what can be told without an interface.
import { existsSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { start } from '../support/cli.js';
import {
  type Block,
  blocks,
  complaints,
  isMarked,
  isRun,
  needsLab,
  ofLanguage,
  runBlock,
  verdict,
  workshop,
} from '../support/documents.js';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();
workshop(path('.'));

const named = (list: readonly Block[]) => list.map((block) => [block.name, block] as const);

test('each code block of the documents says what is to be done with it', () => {
  expect(blocks.length).toBeGreaterThan(50);
  expect(
    blocks.filter((block) => !isMarked(block)).map(({ name, language, treatment }) => ({ name, language, treatment })),
  ).toEqual([]);
});

test('every TypeScript block compiles in a strict program', () => {
  expect(complaints(path('.'))).toEqual([]);
});

describe('it does what it is there for, and complains of nothing', () => {
  const here = blocks.filter((block) => isRun(block) && !needsLab(block));
  test.concurrent.each(named(here))('%s', async (_, block) => {
    const outcome = await runBlock(block, path('.'));
    expect({ ...verdict(outcome, block), stderr: outcome.stderr }).toMatchObject({
      succeeded: true,
      silent: false,
      complaints: [],
    });
  });
});

test.each(named(ofLanguage('sh')))('%s is shell', async (_, { code }) => {
  expect(await start('bash', ['-n', '-c', code]).outcome).toMatchObject({ code: 0, stderr: '' });
});

test.each(named(ofLanguage('js')))('%s is JavaScript', async (_, block) => {
  const script = path('check.mjs');
  writeFileSync(script, block.code);
  expect(await start(process.execPath, ['--check', script]).outcome).toMatchObject({ code: 0, stderr: '' });
});

test.each(named(ofLanguage('json')))('%s is JSON', (_, { code }) => {
  expect(JSON.parse(code)).toBeTypeOf('object');
});

test.each(named(ofLanguage('yaml')))('%s is YAML', (_, { code }) => {
  expect(parse(code)).toBeTypeOf('object');
});

test.each(named(ofLanguage('ini')))('%s is a unit as systemd has them', async (_, { code }) => {
  for (const line of code.trimEnd().split('\n')) expect(line).toMatch(/^(#.*|\[\w+\]|[A-Z]\w+=.*|)$/);
  if (!existsSync('/usr/bin/systemd-analyze')) return;
  const unit = path('capture.service');
  writeFileSync(unit, code.replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`));
  const { stderr } = await start('systemd-analyze', ['verify', '--recursive-errors=no', unit]).outcome;
  expect(stderr.split('\n').filter((line) => line.includes('capture.service'))).toEqual([]);
});

test.each(named(ofLanguage('dockerfile')))('%s has instructions only', (_, { code }) => {
  const instructions = code.replaceAll(/\\\n/g, ' ').trimEnd().split('\n');
  expect(instructions[0]).toMatch(/^FROM \S+/);
  for (const line of instructions) expect(line).toMatch(/^(FROM|RUN|COPY|USER|CMD|WORKDIR|ENV|ENTRYPOINT) \S/);
});
