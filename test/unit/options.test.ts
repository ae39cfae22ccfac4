import { explain, type OpenOptions, open } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { planOf } from '../support/explain.js';
import { count, failure } from '../support/packets.js';

const refused = (options: Record<string, unknown>, uri = 'synth:?count=1') =>
  failure(() => open(uri, options as OpenOptions));

/** What the process is warned of meanwhile, as `CODE message`. */
const warnings = async (body: string) => {
  const { stdout, stderr, code } = await script(`
    import { explain, open } from 'ringtap';
    const told = [];
    process.on('warning', (warning) => told.push([warning.name, warning.code, warning.message]));
    const plans = await (async () => { ${body} })();
    setImmediate(() => console.log(JSON.stringify({ told, plans })));
  `);
  expect({ stderr, code }, stdout).toMatchObject({ code: 0 });
  return JSON.parse(stdout) as { told: string[][]; plans: Record<string, unknown>[] };
};

describe('an older name of an option', () => {
  test('means the present one, in a URI and in the object, and is warned of once', async () => {
    const { told, plans } = await warnings(`
      const of = async (...args) => (await open(...args).catch((error) => error)).message;
      return [
        await of('afpacket:nosuch0?fanout=5&fanoutMode=nosuch'),
        await of('afpacket:nosuch0', { fanoutMode: 'nosuch' }),
        await of('pfring:nosuch0', { cluster: 'x', fallback: false }),
        await of('afxdp:nosuch0?queue=a'),
        await of('dpdk:nosuch?rxQueues=0'),
        await of('dpdk:nosuch?rxQueues=65'),
      ];
    `);
    expect(plans).toEqual([
      'afpacket:nosuch0?fanout=5&fanoutMode=nosuch: option shareMode must be one of hash, lb, cpu, rollover, rnd, qm, not "nosuch"',
      'afpacket:nosuch0: option shareMode must be one of hash, lb, cpu, rollover, rnd, qm, not "nosuch"',
      'pfring:nosuch0: option share must be a whole number, not "x"',
      'afxdp:nosuch0?queue=a: option queues must be all, a queue, a list or a range, not "a"',
      'dpdk:nosuch?rxQueues=0: option rxQueues must be 1 to 64, not 0',
      'dpdk:nosuch?rxQueues=65: option rxQueues must be 1 to 64, not 65',
    ]);
    const warned = (text: string) => ['DeprecationWarning', 'RINGTAP_RENAMED_OPTION', text];
    expect(told).toEqual([
      warned('afpacket: the option fanout is called share now'),
      warned('afpacket: the option fanoutMode is called shareMode now'),
      warned('pfring: the option cluster is called share now'),
      warned('afxdp: the option queue is called queues now'),
      // The two that were refused have said what is wrong already.
    ]);
  });

  test('beside the present one is refused, wherever they stand', async () => {
    for (const [uri, options] of [
      ['afpacket:nosuch0?fanout=5&share=5', {}],
      ['afpacket:nosuch0?fanout=5', { share: 5 }],
      ['afpacket:nosuch0', { fanout: 5, share: 5 }],
    ] as const) {
      const error = await refused(options, uri);
      expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', uri });
      expect(error.message).toContain('option fanout is what share was called: give one of them');
    }
  });
});

describe('queues', () => {
  test.each([
    ['afxdp', 'all'],
    ['afxdp', 3],
    ['afxdp', '0,2-4'],
    ['afxdp', [1, 0]],
    ['dpdk', '0-3'],
    ['dpdk', [1, 0]],
    ['dpdk', 0],
    ['pfring', 1],
    ['pfring', 'all'],
  ])('of %s: may be %o', async (scheme, queues) => {
    const error = await refused({ queues, ...(scheme === 'dpdk' ? {} : { fallback: false }) }, `${scheme}:nosuch0`);
    expect(error.message).not.toContain('option queues');
  });

  test.each([
    ['dpdk', 4, 'must name the queues from 0 on without a gap, not 4: 4 queues are 0-3'],
    ['dpdk', 'all', 'must name the queues from 0 on without a gap, not "all": 0-3 are four'],
    ['dpdk', '0,2', 'must name the queues from 0 on without a gap, not "0,2": 2 queues are 0-1'],
    ['dpdk', '0-64', 'names queue 64; the last one there can be is 63'],
    ['dpdk', [0, 2], 'must name the queues from 0 on without a gap, not [0, 2]: 2 queues are 0-1'],
    ['pfring', '0-1', 'must be all or one queue, not "0-1"'],
    ['pfring', [0, 1], 'must be all or one queue, not [0, 1]'],
    ['afxdp', [], 'must be all, a queue, a list or a range, not an empty list'],
    ['afxdp', [-1, {}], 'must be all, a queue, a list or a range, not [-1, an object]'],
    [
      'pfring',
      '0-9'.split('-').concat(Array(9).fill('3')),
      'must be all or one queue, not ["0", "9", "3", "3", "3", "3", "3", "3", …]',
    ],
  ])('of %s: may not be %o', async (scheme, queues, what) => {
    const error = await refused({ queues }, `${scheme}:nosuch0`);
    expect(error.code).toBe('RINGTAP_BAD_OPTION');
    expect(error.message).toBe(`${scheme}:nosuch0: option queues ${what}`);
  });
});

describe('an option', () => {
  test('means the same in the URI and in the object', async () => {
    const inUri = await planOf('synth:?count=7&sizes=imix&rate=1.5e3&batchSize=8');
    const inObject = await planOf('synth:', { count: 7, sizes: 'imix', rate: 1500, batchSize: 8 });
    expect(inUri.options).toEqual(inObject.options);
    expect(inUri.options).toMatchObject({ count: 7, sizes: 'imix', rate: 1500, batchSize: 8 });
  });

  test('of the object wins over that of the URI', async () => {
    await using capture = await open('synth:?count=9', { count: 4 });
    expect(await count(capture)).toBe(4);
  });

  test('that only the program may set is refused in a URI, whatever the object says', async () => {
    const options = { unsafeDevargs: 'iface=/tmp/socket' };
    const error = await refused(options, 'dpdk:net_vhost0?unsafeDevargs=iface=/tmp/other');
    expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', message: expect.stringMatching(/not the URI/) });
  });

  test('that is undefined counts as not given', async () => {
    expect((await planOf('synth:?count=9', { count: undefined })).options.count).toBe(9);
  });

  test.each([
    ['64k', 65536],
    ['2M', 2097152],
    ['1g', 1073741824],
    ['1.5k', 1536],
    ['1e6', 1000000],
  ])('may be written %s', async (text, number) => {
    expect((await planOf(`synth:?count=${text}`)).options.count).toBe(number);
  });

  test.each([
    ['count', 1.5],
    ['count', -1],
    ['count', Number.NaN],
    ['count', Number.POSITIVE_INFINITY],
    ['count', 'many'],
    ['count', ''],
    ['count', '0x10'],
    ['count', 5n],
    ['count', null],
    ['count', {}],
    ['batchSize', 0],
    ['batchSize', 4097],
    ['snaplen', 13],
    ['snaplen', 262145],
    ['vlanId', 4095],
    ['bufferBytes', 100],
    ['sizes', true],
    ['sizes', '10'],
    ['sizes', '9019'],
    ['sizes', '100-64'],
    ['sizes', '64-'],
    ['sizes', '64x'],
    ['protocols', 'udp,sctp'],
    ['protocols', ''],
  ])('%s does not take %s', async (name, value) => {
    const error = await refused({ [name]: value });
    expect(error.code).toBe('RINGTAP_BAD_OPTION');
    expect(error.message).toMatch(new RegExp(`synth:.*${name}`));
    expect(error.uri).toBe('synth:?count=1');
  });

  test.each([
    ['promiscuous', 'yes'],
    ['promiscuous', 1],
    ['direction', 'inout'],
    ['vlan', 5],
    ['timestamp', 'nic'],
    ['fallback', 'maybe'],
  ])('%s of afpacket: does not take %s', async (name, value) => {
    const error = await refused({ [name]: value }, 'afpacket:nosuch0');
    expect(error.code).toBe('RINGTAP_BAD_OPTION');
    expect(error.message).toContain(`option ${name}`);
  });

  test.each(['true', 'false', '1', '0'])('that is a switch may be written %s in a URI', async (text) => {
    expect(await explain(`synth:?fallback=${text}`)).toMatchObject({ ok: true });
  });

  test('that is out of range is refused with the range and unit', async () => {
    expect((await refused({ batchSize: 5000 })).message).toContain('must be 1 to 4096 packets, not 5000');
  });

  test('nobody knows is refused with the nearest, wherever it stands', async () => {
    for (const error of [await refused({ snapLen: 5 }), await refused({}, 'synth:?snapLen=5')]) {
      expect(error).toMatchObject({ code: 'RINGTAP_UNKNOWN_OPTION', backend: 'synth' });
      expect(error.message).toContain('"snapLen"');
      expect(error.hint).toContain('Did you mean "snaplen"');
    }
  });

  test('of another backend is refused, without a guess where none is near', async () => {
    const error = await refused({ shareMode: 'lb' });
    expect(error.code).toBe('RINGTAP_UNKNOWN_OPTION');
    expect(error.hint).toMatch(/^Options of synth: /);
    expect((await refused({ share: 1 })).code).toBe('RINGTAP_UNKNOWN_OPTION');
  });

  test('of a method that would only be fallen back to is refused, too', async () => {
    expect((await refused({ sead: 1 }, 'afpacket:nosuch0')).code).toBe('RINGTAP_UNKNOWN_OPTION');
  });

  test('signal is refused in a URI, by open and by explain', async () => {
    for (const call of [() => open('synth:?signal=now'), () => explain('synth:?signal=now')]) {
      const error = await failure(call);
      expect(error.code).toBe('RINGTAP_BAD_OPTION');
      expect(error.message).toContain('signal');
    }
  });

  test('signal takes an AbortSignal only', async () => {
    expect((await refused({ signal: {} })).code).toBe('RINGTAP_BAD_OPTION');
  });

  test('signal takes nothing that only looks like one', async () => {
    for (const signal of [Object.create(AbortSignal.prototype), null, 'x', { aborted: false }]) {
      expect((await refused({ signal })).code).toBe('RINGTAP_BAD_OPTION');
    }
  });

  test('fallback takes no null', async () => {
    expect((await refused({ fallback: null })).code).toBe('RINGTAP_BAD_OPTION');
  });

  test('is an own property: what stands in a prototype is none', async () => {
    const planted = {
      fallback: 'x',
      signal: 'x',
      count: 'x',
      filter: 'x',
      default: 'x',
      min: 'x',
      rest: 'x',
      hint: 'x',
    };
    const { stdout, stderr } = await script(
      `import { explain, open } from 'ringtap';
       const results = [];
       const planted = JSON.parse(process.argv[1]);
       for (const name of ['', ...Object.keys(planted)]) {
         if (name !== '') Object.prototype[name] = planted[name];
         const { plan: { options } } = await explain('synth:?count=3');
         const { code, hint } = await open('synth:?seed=x', {}).catch((error) => error);
         const capture = await open('synth:', Object.create({ count: 'x' }, { count: { value: 3, enumerable: true } }));
         delete Object.prototype[name];
         let packets = 0;
         for await (const batch of capture) packets += batch.length;
         results.push(JSON.stringify({ options, code, hint, packets }));
       }
       console.log(new Set(results).size, results[0].includes('"count":3') && results[0].includes('"packets":3'));`,
      { args: [JSON.stringify(planted)] },
    );
    expect({ stdout, stderr }).toEqual({ stdout: '1 true\n', stderr: '' });
  });

  test('is read once: what it becomes later does not count', async () => {
    let reads = 0;
    const options = Object.defineProperty({}, 'count', { get: () => (reads++ === 0 ? 3 : 'x'), enumerable: true });
    await using capture = await open('synth:', options);
    expect([await count(capture), reads]).toEqual([3, 1]);
  });

  test.each([null, 5, 'count=5', [], [['count', 5]], new Map([['count', 5]]), new URLSearchParams('count=5'), () => 1])(
    'stands in an object, not in %j',
    async (options) => {
      const error = await failure(() => open('synth:?count=1', options as OpenOptions));
      expect(error.code).toBe('RINGTAP_BAD_OPTION');
      expect(error.message).toContain('options');
    },
  );

  test('that is a list of queues stays short', async () => {
    for (const queues of ['0-65535,'.repeat(8000), Array(100_000).fill('0-9'), '0-99999', [{}], [[0]], {}]) {
      expect((await refused({ queues }, 'afxdp:nosuch0')).code).toBe('RINGTAP_BAD_OPTION');
    }
  });
});
