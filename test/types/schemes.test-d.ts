// Each scheme takes its own options, and no other's.
import type {
  AfPacketOptions,
  AfXdpOptions,
  DpdkOptions,
  FileOptions,
  OpeningOptions,
  OpenOptions,
  OptionsOf,
  PcapOptions,
  PfRingOptions,
  RpcapOptions,
  SynthOptions,
  TcpOptions,
} from 'ringtap';
import { explain, open, openTransmitter } from 'ringtap';
import { describe, expectTypeOf, test } from 'vitest';

const text: string = 'eth0';

describe('a URI leads to the options of its scheme', () => {
  test('by its name', () => {
    expectTypeOf<OptionsOf<'afpacket:eth0'>>().toEqualTypeOf<AfPacketOptions>();
    expectTypeOf<OptionsOf<'afxdp:eth0'>>().toEqualTypeOf<AfXdpOptions>();
    expectTypeOf<OptionsOf<'dpdk:0000:01:00.0'>>().toEqualTypeOf<DpdkOptions>();
    expectTypeOf<OptionsOf<'pfring:zc:eth0@0'>>().toEqualTypeOf<PfRingOptions>();
    expectTypeOf<OptionsOf<'pcap:eth0'>>().toEqualTypeOf<PcapOptions>();
    expectTypeOf<OptionsOf<'file:-'>>().toEqualTypeOf<FileOptions>();
    expectTypeOf<OptionsOf<'tcp://host:57012'>>().toEqualTypeOf<TcpOptions>();
    expectTypeOf<OptionsOf<'tcp-listen://0.0.0.0:57012'>>().toEqualTypeOf<TcpOptions>();
    expectTypeOf<OptionsOf<'synth:?count=5'>>().toEqualTypeOf<SynthOptions>();
  });

  test('by libtrace’s names, in whatever case', () => {
    expectTypeOf<OptionsOf<'ring:eth0'>>().toEqualTypeOf<AfPacketOptions>();
    expectTypeOf<OptionsOf<'int:eth0'>>().toEqualTypeOf<AfPacketOptions>();
    expectTypeOf<OptionsOf<'xdp:eth0'>>().toEqualTypeOf<AfXdpOptions>();
    expectTypeOf<OptionsOf<'pcapint:eth0'>>().toEqualTypeOf<PcapOptions>();
    expectTypeOf<OptionsOf<'pcapfile:a.pcap'>>().toEqualTypeOf<FileOptions>();
    expectTypeOf<OptionsOf<'erf:a.erf'>>().toEqualTypeOf<FileOptions>();
    expectTypeOf<OptionsOf<'dpdkvdev:net_pcap0'>>().toEqualTypeOf<DpdkOptions>();
    expectTypeOf<OptionsOf<'AfPacket:eth0'>>().toEqualTypeOf<AfPacketOptions>();
  });

  test('without a scheme, as an interface or a path', () => {
    expectTypeOf<OptionsOf<'eth0'>>().toEqualTypeOf<AfPacketOptions>();
    expectTypeOf<OptionsOf<'auto:eth0'>>().toEqualTypeOf<AfPacketOptions>();
    expectTypeOf<OptionsOf<'eth0?filter=ip6 host fe80::1'>>().toEqualTypeOf<AfPacketOptions>();
    expectTypeOf<OptionsOf<'-'>>().toEqualTypeOf<FileOptions>();
    expectTypeOf<OptionsOf<'trace.pcapng'>>().toEqualTypeOf<FileOptions>();
    expectTypeOf<OptionsOf<'./trace'>>().toEqualTypeOf<FileOptions>();
    expectTypeOf<OptionsOf<'./12:00'>>().toEqualTypeOf<FileOptions>();
    expectTypeOf<OptionsOf<'C:\\trace'>>().toEqualTypeOf<FileOptions>();
  });

  test('with a part that only the program knows', () => {
    expectTypeOf<OptionsOf<`afpacket:${string}`>>().toEqualTypeOf<AfPacketOptions>();
    expectTypeOf<OptionsOf<`eth${number}`>>().toEqualTypeOf<AfPacketOptions>();
    expectTypeOf<OptionsOf<`${'xdp' | 'afxdp'}:eth0`>>().toEqualTypeOf<AfXdpOptions>();
    void open(`afpacket:${text}`, { share: 1, shareMode: 'lb' });
    // @ts-expect-error an option of dpdk:
    void open(`afpacket:${text}`, { mbufs: 5 });
  });

  test('where they agree: to the options of more than one scheme otherwise', () => {
    expectTypeOf<OptionsOf<'ring:eth0' | 'afpacket:eth1' | 'eth2'>>().toEqualTypeOf<AfPacketOptions>();
    expectTypeOf<OptionsOf<'afpacket:eth0' | 'dpdk:0'>>().toEqualTypeOf<OpenOptions>();
    expectTypeOf<OptionsOf<string>>().toEqualTypeOf<OpenOptions>();
    expectTypeOf<OptionsOf<`${string}:eth0`>>().toEqualTypeOf<OpenOptions>();
    expectTypeOf<OptionsOf<`${string}.pcap`>>().toEqualTypeOf<OpenOptions>();
    expectTypeOf<OptionsOf<'rpcap://host/eth0'>>().toEqualTypeOf<RpcapOptions>();
    expectTypeOf<OptionsOf<'rpcaps://host/eth0'>>().toEqualTypeOf<RpcapOptions>();
    expectTypeOf<OptionsOf<'nosuch:eth0'>>().toEqualTypeOf<OpenOptions>();
    expectTypeOf<OptionsOf<never>>().toEqualTypeOf<OpenOptions>();
  });
});

describe('open(), explain() and openTransmitter()', () => {
  test('take the options of the scheme', () => {
    void open('dpdk:0', { hugePages: 'require', queues: '0-3', mbufs: 4096 });
    void open('afxdp:eth0', { hugePages: true, queues: [0, 2] });
    void open('dpdk:0', { queues: Array.from({ length: 4 }, (_, queue) => queue) });
    void open('pfring:eth0', { queues: 1 });
    void open('eth0', { share: 4711 });
    void open('trace.pcap', { format: 'pcap' });
    void explain('pfring:eth0', { share: 1, shareMode: 'round-robin' });
    void openTransmitter('afxdp:eth0', { frames: 128 });
    for (const call of [open, explain, openTransmitter]) {
      void call('synth:', { signal: AbortSignal.timeout(1), fallback: false, seed: 1 });
    }
  });

  test('refuse those of another', () => {
    // @ts-expect-error an option of dpdk:
    void open('afpacket:eth0', { mbufs: 5 });
    // @ts-expect-error its huge pages are a choice of three words
    void open('dpdk:0', { hugePages: true });
    // @ts-expect-error and those of afxdp: are a switch
    void open('afxdp:eth0', { hugePages: 'require' });
    // @ts-expect-error a word of pfring:
    void open('afpacket:eth0', { shareMode: 'round-robin' });
    // @ts-expect-error a file has no direction
    void explain('./trace.pcap', { direction: 'in' });
    // @ts-expect-error an option of synth:
    void openTransmitter('afxdp:eth0', { count: 5 });
    // @ts-expect-error AF_PACKET knows no queues
    void open('afpacket:eth0', { queues: 0 });
    // @ts-expect-error four queues are 0-3
    void open('dpdk:0', { queues: 4 });
    // @ts-expect-error one queue, or all
    void open('pfring:eth0', { queues: [0, 1] });
    // @ts-expect-error what it was called before
    void open('afpacket:eth0', { fanout: 1 });
    // @ts-expect-error what it was called before
    void open('dpdk:0', { rxQueues: 4 });
  });

  test('take what more than one scheme has, where the URI is a mere string', () => {
    void open(text, { timestamp: 'kernel', hugePages: true, shareMode: 'lb' });
    void explain(text, { timestamp: 'user', hugePages: 'require', shareMode: 'round-robin' });
    const either = (scheme: 'afpacket' | 'pcap') => open(`${scheme}:eth0`, { timestamp: 'kernel' });
    void either('pcap');
    void open(text, {
      filter: 'udp',
      snaplen: 96,
      timeoutMs: 5,
      timestamp: 'hardware',
      queues: 'all',
      fallback: false,
    });
    // @ts-expect-error an option of dpdk: alone
    void open(text, { mbufs: 5 });
    // @ts-expect-error an option of afpacket: alone
    void open(text, { vlan: 'inline' });
    // @ts-expect-error a word that no scheme has
    void open(text, { timestamp: 'nic' });
    // @ts-expect-error misspelt
    void open(text, { snapLen: 96 });
  });

  test('of every scheme take what open() itself does', () => {
    const options: OpeningOptions = {};
    void open('afpacket:eth0', options);
    void open('afxdp:eth0', options);
    void open('dpdk:0', options);
    void open('file:a.pcap', options);
    void open('pcap:eth0', options);
    void open('pfring:eth0', options);
    void open('synth:', options);
  });

  test('of a mere string have every value that some scheme takes, and nothing else', () => {
    type Local =
      | AfPacketOptions
      | AfXdpOptions
      | DpdkOptions
      | FileOptions
      | PcapOptions
      | PfRingOptions
      | SynthOptions;
    type Some = Local | RpcapOptions | TcpOptions;
    type TakenBy<Name, Scheme = Some> = Scheme extends unknown
      ? Name extends keyof Scheme
        ? Scheme[Name]
        : never
      : never;
    type Every = { [Name in keyof OpenOptions]?: TakenBy<Name> | undefined };
    expectTypeOf<OpenOptions>().toExtend<Every>();
    expectTypeOf<Every>().toExtend<OpenOptions>();
    expectTypeOf<OpenOptions>().toHaveProperty('shareMode');
    expectTypeOf<OpenOptions>().toHaveProperty('hugePages');
    expectTypeOf<OpenOptions>().not.toHaveProperty('vlan');
    expectTypeOf<OpenOptions>().not.toHaveProperty('mbufs');
  });

  test('can be wrapped', () => {
    const wrapped = <U extends string>(uri: U, options?: OptionsOf<U>) => open(uri, options);
    void wrapped('afpacket:eth0', { share: 1 });
    // @ts-expect-error an option of dpdk:
    void wrapped('afpacket:eth0', { mbufs: 5 });
  });

  test('take undefined for what is not given, as exactOptionalPropertyTypes has it', () => {
    const given = { snaplen: undefined as number | undefined, signal: undefined as AbortSignal | undefined };
    void open('afpacket:eth0', given);
    void open('synth:', { ...given, count: undefined });
    void open(text, given);
    void open('eth0', undefined);
  });
});
