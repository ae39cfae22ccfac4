// A capture of tcp: that goes on with the next connection when one is lost.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { open } from 'ringtap';
import { afterEach, expect, test } from 'vitest';
import { expectBalanced, failure, readAll } from '../support/packets.js';
import { ethernet, ipv4, pcapFile, pcapngFile, udp } from '../support/trace.js';
import { until } from '../support/wait.js';

const packetsOf = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    data: ethernet(0x0800, ipv4({ protocol: 17 }, udp(first + i, i % 2 === 0 ? 53 : 9, Buffer.alloc(20 + i, i)))),
    time: 1_700_000_000_000_000_000n + BigInt(first + i),
  }));
const asPcapng = (packets: ReturnType<typeof packetsOf>) =>
  pcapngFile(
    { resolution: 9 },
    packets.map(({ data, time }) => ({ data, ticks: time })),
  );

const servers: Server[] = [];
const warnings: string[] = [];
const hear = ({ message, ...more }: Error) => void ('code' in more && warnings.push(`${more.code} ${message}`));
process.on('warning', hear);
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  warnings.length = 0;
});

/** Sends each connection the next of these, and ends it; after the last one nobody is let in. */
async function sender(...traces: Uint8Array[]): Promise<{ host: string; came: () => number }> {
  let came = 0;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    const bytes = traces[came++];
    if (bytes === undefined) socket.destroy();
    else socket.end(bytes);
  });
  server.listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, came: () => came };
}

const hex = (packets: readonly { readonly data: Uint8Array; readonly timeNs?: bigint; readonly time?: bigint }[]) =>
  packets.map(({ data, timeNs, time }) => `${timeNs ?? time} ${Buffer.from(data).toString('hex')}`);

test('where a connection ends, also in the middle of a record, the trace of the next one follows', async () => {
  const [one, two, three] = [packetsOf(1000, 40), packetsOf(2000, 30), packetsOf(3000, 20)];
  const cut = pcapFile(one);
  const { host } = await sender(cut.subarray(0, cut.length - 7), asPcapng(two), pcapFile(three));
  await using capture = await open(`tcp://${host}`, { reconnect: true, filter: 'port 53 or port 9' });
  const seen = await readAll(capture, 39 + 30 + 20);
  expect(hex(seen)).toEqual(hex([...one.slice(0, 39), ...two, ...three]));
  expectBalanced(capture.stats());
  expect(warnings.filter((text) => text.includes('connecting again')).length).toBeGreaterThanOrEqual(2);
  expect(warnings[0]).toContain('RINGTAP_REMOTE_CONNECTION');
});

test('without it the end of the connection is the end of the capture', async () => {
  const { host, came } = await sender(pcapFile(packetsOf(1, 3)), pcapFile(packetsOf(5, 3)));
  await using capture = await open(`tcp://${host}`);
  expect(await readAll(capture)).toHaveLength(3);
  expect(came()).toBe(1);
});

test('a capture that is closed, or whose signal aborts, connects no more', async () => {
  const { host, came } = await sender(pcapFile(packetsOf(1, 3)));
  const capture = await open(`tcp://${host}?reconnect=true`);
  expect(await readAll(capture, 3)).toHaveLength(3);
  await until(() => came() >= 2, 'another connection', 10_000);
  await capture.close();
  // One may be on its way.
  const then = came() + 1;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(came()).toBeLessThanOrEqual(then);
  const controller = new AbortController();
  const other = await sender(pcapFile(packetsOf(1, 3)));
  const aborted = await open(`tcp://${other.host}`, { reconnect: true, signal: controller.signal });
  expect(await readAll(aborted, 3)).toHaveLength(3);
  const more = readAll(aborted);
  controller.abort(new Error('enough'));
  await expect(more).rejects.toThrow('enough');
});

test('what comes then and is no trace is told of, and so is one that is compressed', async () => {
  const { host } = await sender(pcapFile(packetsOf(1, 3)), Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n and so on'));
  await using capture = await open(`tcp://${host}`, { reconnect: true });
  expect(await failure(() => readAll(capture))).toMatchObject({ code: 'RINGTAP_FILE_FORMAT' });
  const packed = execFileSync('gzip', ['-c'], { input: pcapFile(packetsOf(1, 3)) });
  const { host: compressed } = await sender(packed);
  expect(await failure(() => open(`tcp://${compressed}`, { reconnect: true }))).toMatchObject({
    code: 'RINGTAP_UNSUPPORTED',
  });
});
