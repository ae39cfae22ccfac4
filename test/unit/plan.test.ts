import { devices, explain, open, openTransmitter, probe } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { expectTarget, planOf, refusalOf } from '../support/explain.js';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';
import { withoutPfring } from '../support/standin.js';
import { writePcap } from '../support/trace.js';

const temporary = temporaryFolder();

describe('probe()', () => {
  test('says of every method whether it works here, and if not, why and what helps', async () => {
    const results = await probe();
    expect(results.map(({ backend }) => backend)).toEqual(
      expect.arrayContaining(['afpacket', 'file', 'pcap', 'synth']),
    );
    for (const { backend, title, available, code, reason, hint, detail } of results) {
      expect(title).toBeTruthy();
      expect(typeof detail).toBe('string');
      if (available) expect([backend, code, reason]).toEqual([backend, undefined, undefined]);
      else expect([code, reason, hint].every(Boolean)).toBe(true);
    }
    for (const name of ['file', 'synth']) expect(results.find(({ backend }) => backend === name)!.available).toBe(true);
  });
});

describe('devices()', () => {
  test('lists interfaces with URIs that open() takes as they stand', async () => {
    const found = await devices();
    const loopback = found.find(({ loopback }) => loopback)!;
    expect(loopback).toMatchObject({ name: 'lo', loopback: true });
    expect(loopback.addresses.every((address) => /^[0-9a-f.:]+\/\d+$/.test(address))).toBe(true);
    expect(loopback.uris[0]).toBe('afpacket:lo');
    for (const { name, uris } of found) {
      expect(uris.length).toBeGreaterThan(0);
      for (const uri of uris) await expectTarget(uri, name);
    }
  });
});

describe('explain()', () => {
  test('gives the plan that open() follows', async () => {
    const uri = 'synth:?count=5&filter=udp';
    const plan = await planOf(uri);
    expect(await explain(uri)).toEqual({ ok: true, plan });
    await using capture = await open(uri);
    expect(plan).toEqual(capture.plan);
    expect(plan).toMatchObject({
      uri,
      backend: 'synth',
      target: '',
      candidates: [{ backend: 'synth', chosen: true }],
      mode: 'memory',
      filter: 'user',
      timestamp: 'synthetic',
      linkType: 1,
      zeroCopy: true,
      takesTraffic: false,
      maxLeases: 64,
      options: { count: 5, batchSize: 256 },
      notes: [],
    });
    expect(plan.filterReason).toBeTruthy();
    expect(Object.isFrozen(capture.plan)).toBe(true);
  });

  test('explains what cannot be opened, too', async () => {
    const refusal = await refusalOf('rpcaps:host/eth0?transport=udp');
    const { message: reason, hint } = refusal.error;
    expect(Object.keys(refusal).sort()).toEqual(['candidates', 'error', 'ok']);
    expect(refusal.error).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    expect(refusal.candidates).toEqual([{ backend: 'rpcap', chosen: false, code: 'RINGTAP_BAD_OPTION', reason, hint }]);
    expect((await refusalOf('/no/such/trace.pcap')).error.code).toBe('RINGTAP_FILE_OPEN');
    expect((await refusalOf('synth:?filter=udp+and')).error.code).toBe('RINGTAP_BAD_FILTER');
  });

  test('rejects with the reason of a signal that has aborted, and opens nothing', async () => {
    const reason = new Error('enough');
    await expect(explain('synth:', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('throws for what means nothing', async () => {
    expect((await failure(() => explain('nonsense:x'))).code).toBe('RINGTAP_UNKNOWN_SCHEME');
    expect((await failure(() => explain('synth:?colour=red'))).code).toBe('RINGTAP_UNKNOWN_OPTION');
  });
});

test('openTransmitter() of a method that cannot send is RINGTAP_UNSUPPORTED, and its captures have none', async () => {
  const path = temporary('none.pcap');
  writePcap(path, []);
  expect(await failure(() => openTransmitter(`file:${path}`))).toMatchObject({
    code: 'RINGTAP_UNSUPPORTED',
    uri: `file:${path}`,
    backend: 'file',
  });
  await using capture = await open('synth:');
  expect(capture.transmit).toBeNull();
});

test('a fallback is a warning with a code, once the capture is open', async () => {
  const { stdout, stderr } = await script(
    `import { open } from 'ringtap';
     process.on('warning', ({ name, code, message }) => console.log(JSON.stringify({ name, code, message })));
     await open('pfring:nosuch0').catch(({ code }) => console.log(code));
     const capture = await open('pfring:lo').catch(({ code }) => code);
     if (typeof capture === 'string') console.log(capture);
     else { console.log(capture.backend, capture.plan.candidates[0].chosen); await capture.close(); }`,
    { env: withoutPfring },
  );
  const [first, second, third] = stdout.trim().split('\n');
  if (first === 'RINGTAP_NO_PERMISSION') return expect(second).toBe('RINGTAP_NO_PERMISSION');
  expect(first).toMatch(/RINGTAP_(NO_INTERFACE|BACKEND_MISSING)/);
  expect(second).toBe('afpacket false');
  expect(JSON.parse(third!)).toMatchObject({ name: 'RingtapWarning', code: 'RINGTAP_FALLBACK' });
  expect(third).toMatch(/"message":"pfring:lo: using afpacket: because (?!pfring:lo)/);
  expect(stderr).toContain('pfring:lo');
});

test('an option that only the method asked for can follow leaves no fallback, as a target of its own does', async () => {
  const { stdout } = await script(
    `import { explain } from 'ringtap';
     for (const uri of ['pfring:lo?queues=0', 'pfring:lo?queues=all']) {
       const { ok, error, plan, candidates } = await explain(uri);
       console.log(JSON.stringify([ok, error?.code, (candidates ?? plan.candidates).map(({ backend }) => backend)]));
     }`,
    { env: { ...withoutPfring, NODE_NO_WARNINGS: '1' } },
  );
  const [queue, all] = stdout.trim().split('\n');
  if (queue?.includes('NO_PERMISSION')) return;
  expect(JSON.parse(queue!)).toEqual([false, 'RINGTAP_BACKEND_MISSING', ['pfring']]);
  expect(JSON.parse(all!)[2]).toEqual(['pfring', 'afpacket', 'pcap']);
});

test('what a fallback does not take is left out, and its notes say so', async () => {
  const { stdout } = await script(
    `import { explain } from 'ringtap';
     const { error, plan } = await explain('pfring:lo?cluster=7&clusterMode=flow&timeoutMs=0&watermark=5&snaplen=100');
     console.log(JSON.stringify(error ?? plan));`,
    { env: { ...withoutPfring, NODE_NO_WARNINGS: '1' } },
  );
  const plan = JSON.parse(stdout);
  if (plan.code === 'RINGTAP_NO_PERMISSION') return;
  expect(plan.options).toMatchObject({ share: 7, shareMode: 'hash', timeoutMs: 10, snaplen: 100 });
  expect(plan.notes).toEqual([
    'afpacket does not take timeoutMs="0": ignored',
    'afpacket has no option watermark: ignored',
    'afpacket does not take shareMode="flow": ignored',
  ]);
});
