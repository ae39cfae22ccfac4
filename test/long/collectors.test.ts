// Exported flows, read by a collector that takes each direction for a flow of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { IpfixExporter, NetflowExporter } from 'ringtap/export';
import type { FlowRecord } from 'ringtap/flow';
import { expect, test } from 'vitest';
import { flowsIn, writeAll, writeFlows } from '../support/exporting.js';
import { temporaryFolder } from '../support/folder.js';
import { sleep, until } from '../support/wait.js';

const path = temporaryFolder();
const NAMES: Record<string, number> = { icmp: 1, tcp: 6, udp: 17, 'ipv6-icmp': 58 };

type Sums = Map<string, readonly [packets: number, bytes: number]>;

function count(sums: Sums, key: string, packets: number, bytes: number): void {
  const [p, b] = sums.get(key) ?? [0, 0];
  sums.set(key, [p + packets, b + bytes]);
}

/** Both directions of records, as nfacctd adds them up. */
function expected(records: readonly FlowRecord[]): Sums {
  const sums: Sums = new Map();
  for (const { protocol, src, dst, srcPort, dstPort, vlans, packets, ipBytes } of records) {
    const isIcmp = protocol === 1 || protocol === 58;
    const ports = isIcmp ? [0, 0] : [srcPort, dstPort];
    const vlan = vlans[0] ?? 0;
    const there = [protocol, src, dst, ports[0], ports[1], vlan].join();
    const back = [protocol, dst, src, ports[1], ports[0], vlan].join();
    if (packets[0] > 0) count(sums, there, packets[0], ipBytes[0]);
    if (packets[1] > 0) count(sums, back, packets[1], ipBytes[1]);
  }
  return sums;
}

/** What nfacctd has written of what `work` sends to a port. */
async function collected(port: number, work: () => Promise<void>): Promise<Sums> {
  const [config, output] = [path(`${port}.conf`), path(`${port}.json`)];
  const settings = {
    daemonize: 'false',
    nfacctd_ip: '127.0.0.1',
    nfacctd_port: port,
    nfacctd_pipe_size: 8_000_000,
    plugins: 'print',
    aggregate: 'src_host, dst_host, src_port, dst_port, proto, vlan',
    print_output: 'json',
    print_output_file: output,
    print_output_file_append: 'true',
    print_refresh_time: 1,
    print_history: '1d',
  };
  writeFileSync(
    config,
    Object.entries(settings)
      .map(([name, value]) => `${name}: ${value}\n`)
      .join(''),
  );
  const child = spawn('nfacctd', ['-f', config], { stdio: 'ignore' });
  try {
    const bound = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
    await until(() => readFileSync('/proc/net/udp', 'latin1').includes(bound), 'nfacctd to listen');
    await sleep(1500); // Its plugin starts behind that, and loses what comes before.
    await work();
    await sleep(3000); // It writes each second what has come.
    await until(() => existsSync(output), 'nfacctd to write');
  } finally {
    child.kill('SIGINT');
    await once(child, 'exit');
  }
  const sums: Sums = new Map();
  for (const line of readFileSync(output, 'utf8').trim().split('\n')) {
    const { ip_proto, ip_src, ip_dst, port_src, port_dst, vlan, packets, bytes } = JSON.parse(line);
    count(sums, [NAMES[ip_proto] ?? ip_proto, ip_src, ip_dst, port_src, port_dst, vlan].join(), packets, bytes);
  }
  return sums;
}

test.each([
  ['IPFIX', 4743, () => IpfixExporter.open('udp://127.0.0.1:4743', { biflow: false })],
  ['NetFlow v9', 2057, () => NetflowExporter.open('udp://127.0.0.1:2057')],
] as const)('nfacctd has the packets and bytes of each direction: %s', async (_, port, open) => {
  writeFlows(path('flows.pcap'), 35, 400);
  const { batches, records } = await flowsIn(path('flows.pcap'));
  const found = await collected(port, async () => {
    await using exporter = await open();
    await writeAll(exporter, batches);
  });
  expect(new Map([...found].sort())).toEqual(new Map([...expected(records)].sort()));
});
