// What a process that is started beside a capture gets of it: nothing.
import { spawnSync } from 'node:child_process';
import { open, openWriter } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { lab } from '../support/lab.js';

const path = temporaryFolder();
const rx = lab?.rx ?? '';

/** The descriptors of a child that was given three. */
const inherited = () =>
  spawnSync('sh', ['-c', 'ls -l /proc/$$/fd'], { encoding: 'utf8' })
    .stdout.split('\n')
    .flatMap((line) => /\d+ -> .*/.exec(line)?.[0] ?? [])
    .filter((line) => !/^[012] /.test(line));

describe.skipIf(lab === null)('a process started beside', () => {
  test.each([`afpacket:${rx}`, `afpacket:any`, `pcap:${rx}`, 'pcap:any', `afxdp:${rx}`, 'file'])(
    'a capture of %s has none of its descriptors',
    async (name) => {
      const before = inherited(); // what the test runner leaves open
      const file = path('some.pcap');
      await using writer = await openWriter(file, { overwrite: true });
      await using source = await open('synth:?count=5');
      for await (const batch of source) await writer.write(batch);
      await writer.flush();
      await using capture = await open(name === 'file' ? `file:${file}` : name, { fallback: false });
      expect(inherited()).toEqual(before);
      const waiting = capture[Symbol.asyncIterator]().next();
      expect(inherited()).toEqual(before); // and what is opened to wait
      await capture.close();
      await waiting;
    },
  );
});
