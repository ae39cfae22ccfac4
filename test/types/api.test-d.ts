// The public names and their types, as docs/architecture.md fixes them.
import type {
  BackendName,
  Batch,
  Candidate,
  Capture,
  CaptureMode,
  CaptureStats,
  Device,
  DropCause,
  ErrorCode,
  Explanation,
  FilterPlacement,
  FilterProgram,
  LinkType,
  MethodName,
  Packet,
  ParallelCapture,
  Plan,
  ProbeResult,
  Selection,
  TimestampSource,
  Transmitter,
  WaitOptions,
  WriteOptions,
  Writer,
  WriterStats,
} from 'ringtap';
import {
  type CaptureError,
  devices,
  explain,
  LINKTYPE,
  linkTypeName,
  open,
  openParallel,
  openTransmitter,
  openWriter,
  PacketFlags,
  probe,
} from 'ringtap';
import { describe, expectTypeOf, test } from 'vitest';

describe('functions', () => {
  test('have the types that the documentation gives', () => {
    expectTypeOf(open).parameter(0).toEqualTypeOf<string>();
    expectTypeOf(open).returns.toEqualTypeOf<Promise<Capture>>();
    expectTypeOf(explain).returns.toEqualTypeOf<Promise<Explanation>>();
    const explained = {} as Explanation;
    if (explained.ok) {
      expectTypeOf(explained).toEqualTypeOf<{ readonly ok: true; readonly plan: Plan }>();
    } else {
      expectTypeOf(explained.error).toEqualTypeOf<CaptureError>();
      expectTypeOf(explained.candidates).toEqualTypeOf<readonly Candidate[]>();
      // @ts-expect-error there is none
      void explained.plan;
    }
    expectTypeOf<Candidate['hint'] | ProbeResult['hint']>().toEqualTypeOf<CaptureError['hint'] | undefined>();
    expectTypeOf(probe).returns.toEqualTypeOf<Promise<ProbeResult[]>>();
    expectTypeOf(devices).returns.toEqualTypeOf<Promise<Device[]>>();
    expectTypeOf(openWriter).returns.toEqualTypeOf<Promise<Writer>>();
    expectTypeOf(openTransmitter).returns.toEqualTypeOf<Promise<Transmitter>>();
    expectTypeOf(PacketFlags.outgoing).toEqualTypeOf<1>();
  });

  test('take every option of every backend, and a filter as text or program', () => {
    const program: FilterProgram = [[6, 0, 0, 262144]];
    void open('synth:', { filter: 'udp', snaplen: 96, bufferBytes: 1 << 20, batchSize: 64 });
    void open('afpacket:eth0', {
      promiscuous: false,
      direction: 'in',
      timeoutMs: 5,
      timestamp: 'hardware',
      vlan: 'metadata',
      fallback: false,
      share: 1,
      shareMode: 'lb',
    });
    void open('synth:', { filter: program, signal: new AbortController().signal, seed: 1, count: 5, sizes: 'imix' });
    void open('synth:', { count: undefined });
    // One name, other types on other schemes.
    void open('dpdk:0', { hugePages: 'require' });
    void open('afxdp:eth0', { hugePages: true });
  });

  test('refuse what is no option, or no value of one', () => {
    // @ts-expect-error unknown option
    void open('synth:', { snapLen: 96 });
    // @ts-expect-error wrong type
    void open('synth:', { snaplen: '96' });
    // @ts-expect-error not one of the choices
    void open('pcap:eth0', { direction: 'inout' });
    // @ts-expect-error not a value of it on any scheme
    void open('dpdk:0', { hugePages: 'always' });
    // @ts-expect-error not a signal
    void open('synth:', { signal: true });
    // @ts-expect-error not a row of a program
    void open('synth:', { filter: [[1, 2, 3]] });
    // @ts-expect-error the URI comes first
    void open({ count: 5 });
    // @ts-expect-error unknown option of a writer
    void openWriter('out.pcap', { compress: true });
  });
});

test('a writer takes selections and signals', () => {
  expectTypeOf<Selection>().toEqualTypeOf<Uint32Array | readonly number[] | Uint8Array>();
  expectTypeOf<Writer['write']>().toEqualTypeOf<(batch: Batch, options?: WriteOptions) => Promise<void>>();
  expectTypeOf<Writer['flush']>().toEqualTypeOf<(options?: WaitOptions) => Promise<void>>();
  expectTypeOf<Transmitter['drain']>().toEqualTypeOf<(options?: WaitOptions) => Promise<void>>();
  expectTypeOf<keyof WriterStats>().toEqualTypeOf<'packets' | 'bytes' | 'queued' | 'late' | 'dropped' | 'files'>();
  const use = async (writer: Writer, batch: Batch, signal: AbortSignal) => {
    for (const select of [[1], new Uint32Array(1), new Uint8Array(9), Buffer.alloc(9)]) {
      await writer.write(batch, { select, signal });
    }
    // @ts-expect-error a count is no option
    await writer.write(batch, 5);
    // @ts-expect-error neither indices nor a mask
    await writer.write(batch, { select: new Int32Array(1) });
    // @ts-expect-error a set has no order
    await writer.write(batch, { select: new Set([1]) });
  };
  expectTypeOf(use).toBeFunction();
});

describe('a capture', () => {
  test('has its members', () => {
    expectTypeOf<Capture>().toExtend<AsyncIterable<Batch> & AsyncDisposable>();
    expectTypeOf<Capture['uri']>().toEqualTypeOf<string>();
    expectTypeOf<Capture['backend']>().toEqualTypeOf<BackendName>();
    expectTypeOf<Capture['linkType']>().toEqualTypeOf<number>();
    expectTypeOf<Capture['epoch']>().toEqualTypeOf<bigint>();
    expectTypeOf<Capture['plan']>().toEqualTypeOf<Plan>();
    expectTypeOf<Capture['tryNext']>().toEqualTypeOf<() => Batch | null>();
    expectTypeOf<Capture['nextSync']>().toEqualTypeOf<(timeoutMs?: number) => Batch | null>();
    expectTypeOf<Capture['stats']>().toEqualTypeOf<() => CaptureStats>();
    expectTypeOf<Capture['close']>().toEqualTypeOf<() => Promise<void>>();
    expectTypeOf<Capture['transmit']>().toExtend<Transmitter | null>();
  });

  test('cannot be written to', () => {
    const capture = {} as Capture;
    // @ts-expect-error read-only
    capture.uri = '';
    // @ts-expect-error read-only
    capture.plan.backend = '';
    // @ts-expect-error read-only
    capture.stats().received = 0;
  });
});

test('a plan speaks in words that can be switched on', () => {
  expectTypeOf<Plan['mode']>().toEqualTypeOf<CaptureMode>();
  expectTypeOf<Plan['filter']>().toEqualTypeOf<FilterPlacement>();
  expectTypeOf<Plan['timestamp']>().toEqualTypeOf<TimestampSource>();
  expectTypeOf<Plan['backend'] | ProbeResult['backend']>().toEqualTypeOf<BackendName>();
  expectTypeOf<Candidate['code'] | ProbeResult['code']>().toEqualTypeOf<ErrorCode | undefined>();
  expectTypeOf<'afpacket' | 'dpdk' | 'synth'>().toExtend<BackendName>();
  expectTypeOf<'auto'>().not.toExtend<BackendName>();
});

test('link types have names', () => {
  expectTypeOf(LINKTYPE.ETHERNET).toEqualTypeOf<1>();
  expectTypeOf<276>().toExtend<LinkType>();
  expectTypeOf<2>().not.toExtend<LinkType>();
  expectTypeOf(linkTypeName).toEqualTypeOf<(linkType: number) => string>();
  // A trace may carry any.
  expectTypeOf<Capture['linkType']>().toEqualTypeOf<number>();
});

test('what is internal shows nowhere', () => {
  expectTypeOf<keyof Capture>().toEqualTypeOf<
    | 'uri'
    | 'backend'
    | 'linkType'
    | 'epoch'
    | 'plan'
    | 'transmit'
    | 'peer'
    | 'ended'
    | 'tryNext'
    | 'nextSync'
    | 'setFilter'
    | 'stats'
    | 'ref'
    | 'unref'
    | 'close'
    | typeof Symbol.asyncIterator
    | typeof Symbol.asyncDispose
  >();
  expectTypeOf<keyof Batch>().toEqualTypeOf<
    | 'length'
    | 'offset'
    | 'caplen'
    | 'wirelen'
    | 'time'
    | 'flags'
    | 'queue'
    | 'vlan'
    | 'hash'
    | 'tunnel'
    | 'view'
    | 'bytes'
    | 'linkType'
    | 'lease'
    | 'timeNs'
    | 'data'
    | 'copy'
    | 'hold'
    | 'release'
    | typeof Symbol.iterator
  >();
});

describe('a batch', () => {
  test('is a struct of arrays', () => {
    expectTypeOf<Batch>().toExtend<Iterable<Packet>>();
    expectTypeOf<Batch['length']>().toEqualTypeOf<number>();
    for (const name of ['offset', 'caplen', 'wirelen', 'flags', 'hash'] as const)
      expectTypeOf<Batch[typeof name]>().toExtend<Uint32Array>();
    for (const name of ['queue', 'vlan'] as const) expectTypeOf<Batch[typeof name]>().toExtend<Uint16Array>();
    expectTypeOf<Batch['time']>().toExtend<Float64Array>();
    expectTypeOf<Batch['view']>().toExtend<DataView>();
    expectTypeOf<Batch['bytes']>().toExtend<Uint8Array>();
  });

  test('lends, copies and is held', () => {
    const batch = {} as Batch;
    expectTypeOf(() => batch.timeNs(0)).returns.toEqualTypeOf<bigint>();
    expectTypeOf(() => batch.data(0)).returns.toExtend<Uint8Array>();
    expectTypeOf(() => batch.copy(0)).returns.toExtend<Uint8Array>();
    expectTypeOf(() => batch.copy()).returns.toEqualTypeOf<Batch>();
    expectTypeOf(() => batch.hold()).returns.toEqualTypeOf<Batch>();
    expectTypeOf(() => batch.release()).returns.toEqualTypeOf<void>();
  });

  test('has packets that are cursors', () => {
    for (const read of ['u8', 'u16', 'u32'] as const)
      expectTypeOf<Packet[typeof read]>().toEqualTypeOf<(o: number) => number>();
    for (const name of ['caplen', 'wirelen', 'time'] as const)
      expectTypeOf<Packet[typeof name]>().toEqualTypeOf<number>();
    expectTypeOf<Packet['timeNs']>().toEqualTypeOf<bigint>();
    expectTypeOf<Packet['data']>().returns.toExtend<Uint8Array>();
    expectTypeOf<Packet['copy']>().returns.toExtend<Uint8Array>();
  });
});

test('the ledger counts, and unknown is not zero', () => {
  expectTypeOf<
    CaptureStats['received' | 'delivered' | 'filtered' | 'dropped' | 'pending' | 'joined']
  >().toEqualTypeOf<number>();
  expectTypeOf<CaptureStats['drops']>().toEqualTypeOf<Readonly<Partial<Record<DropCause, number | null>>>>();
  expectTypeOf<CaptureStats['details']>().toEqualTypeOf<Readonly<Record<string, number | null>>>();
  const { drops } = {} as CaptureStats;
  expectTypeOf(drops.ring).toEqualTypeOf<number | null | undefined>();
  // @ts-expect-error no method counts such a thing
  void drops.rings;
});

test('an error has a code that can be switched on', () => {
  expectTypeOf<CaptureError>().toExtend<Error>();
  expectTypeOf<CaptureError['code']>().toEqualTypeOf<ErrorCode>();
  expectTypeOf<'RINGTAP_BUSY'>().toExtend<ErrorCode>();
  expectTypeOf<'RINGTAP_WHATEVER'>().not.toExtend<ErrorCode>();
  expectTypeOf<CaptureError['syscall' | 'uri']>().toEqualTypeOf<string | undefined>();
  expectTypeOf<CaptureError['backend'] | Candidate['backend']>().toEqualTypeOf<MethodName | undefined>();
  expectTypeOf<CaptureError['errno' | 'position']>().toEqualTypeOf<number | undefined>();
});

test('a parallel capture takes the options of its scheme, and knows the type of what it adds up', () => {
  const reduce = { initial: 0, merge: (sum: number, more: number) => sum + more };
  const opened = openParallel('synth:?count=1', { handler: new URL('file:///handler.mjs'), seed: 7, reduce });
  expectTypeOf(opened).resolves.toEqualTypeOf<ParallelCapture<number>>();
  expectTypeOf<ParallelCapture['stats']>().returns.toExtend<CaptureStats>();
  // @ts-expect-error synth: asks no interface
  void openParallel('synth:', { handler: 'handler.mjs', promiscuous: true });
  // @ts-expect-error there is no such hash
  void openParallel('synth:', { handler: 'handler.mjs', hash: 'random' });
  // @ts-expect-error without a handler there is nothing to do
  void openParallel('synth:', { workers: 2 });
});
