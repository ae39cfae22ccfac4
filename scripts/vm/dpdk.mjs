// DPDK on a NIC that is bound to uio_pci_generic or vfio-pci, shown in a guest through the public API:
//   npm run lab:vm -- --nic e1000e --memory 3072 --hugepages 500 -- node scripts/vm/dpdk.mjs nic0 peer0
//   npm run lab:vm -- --iommu intel --nic e1000e --memory 3072 --hugepages 500 -- node scripts/vm/dpdk.mjs nic0 peer0 vfio-pci
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { basename } from 'node:path';
import { devices, open, openTransmitter } from 'ringtap';
import { balanced, causes, claim, drain, inOrder, ip, numbers, send, sleep } from './prove.mjs';

const [nic = 'nic0', peer = 'peer0', access = 'uio_pci_generic'] = process.argv.slice(2);
const COUNT = 20_000;
// In software a guest moves 10 to 20 thousand packets a second: this leaves room.
const RATE = 4000;

/** The PCI address of an interface: a virtio NIC has a device of its own below it. */
function addressOf(name) {
  const path = realpathSync(`/sys/class/net/${name}/device`);
  return path.match(/[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/g).at(-1);
}

const pci = (address, file) => `/sys/bus/pci/devices/${address}/${file}`;
const driverOf = (address) => {
  const link = pci(address, 'driver');
  return existsSync(link) ? basename(readlinkSync(link)) : 'no driver';
};

/** What dpdk-devbind.py does. */
function bind(address, driver) {
  execFileSync('modprobe', ['-a', driver, ...(driver === 'vfio-pci' ? ['vfio_iommu_type1'] : [])]);
  writeFileSync(pci(address, 'driver_override'), driver);
  writeFileSync(pci(address, 'driver/unbind'), address);
  writeFileSync('/sys/bus/pci/drivers_probe', address);
  return driverOf(address) === driver;
}

const refusal = (uri, options) =>
  open(uri, options).then(
    async (capture) => {
      await capture.close();
      return { code: 'opened' };
    },
    (error) => error,
  );

/** The link comes up some time after the port's start; a frame that arrives tells. */
async function ready(capture) {
  const { seen, each } = numbers();
  for (let tries = 0; seen.length === 0 && tries < 100; tries++) {
    await send(peer, { count: 1 });
    await drain(capture, each, 200);
  }
  await drain(capture, each, 500);
  return capture.stats();
}

async function exact(uri) {
  const capture = await open(uri, { xstats: true });
  const { mode, timestamp, notes } = capture.plan;
  claim(mode === 'zero-copy' && notes.every((text) => !/ordinary memory/.test(text)), 'mode', `${mode}; ${timestamp}`);
  for (const text of notes) console.log(`       note: ${text}`);
  const before = await ready(capture);
  const { seen, each } = numbers();
  const read = (async () => {
    for await (const batch of capture) each(batch);
  })();
  const { sent } = await send(peer, { count: COUNT, rate: RATE });
  for (let last = -1; seen.length !== last; ) {
    last = seen.length;
    await sleep(1500);
  }
  const stats = capture.stats();
  claim((await refusal(uri)).code === 'RINGTAP_BUSY', 'a second capture of the port is refused');
  await capture.close();
  await read;
  const delivered = stats.delivered - before.delivered;
  claim(
    sent === COUNT && seen.length === sent && delivered === sent && stats.dropped === 0 && balanced(stats),
    `${uri}: every frame`,
    `${seen.length} of ${sent} (${causes(stats)})`,
  );
  claim(inOrder(seen, sent), 'each once and in order');
  const good = Object.entries(stats.details ?? {}).find(([name]) => name === 'rx_good_packets');
  claim(good?.[1] === stats.received, "the driver's own count", `rx_good_packets ${good?.[1]}, ${stats.received} here`);
}

/** A reader that stands still while more arrives than may wait. */
async function stalled(uri) {
  const capture = await open(uri, { mbufs: 1024 });
  const before = await ready(capture);
  const { sent } = await send(peer, { count: 3000, rate: RATE });
  await sleep(1500);
  const { seen, each } = numbers();
  await drain(capture, each);
  const stats = capture.stats();
  await capture.close();
  const dropped = stats.dropped - before.dropped;
  claim(
    balanced(stats) && inOrder(seen, sent) && seen.length + dropped === sent && stats.drops.ring > 1000,
    'a reader that stands still: sent = delivered + dropped',
    `${sent} = ${seen.length} + ${dropped} (${causes(stats)})`,
  );
}

async function filter(uri) {
  const capture = await open(uri, { filter: 'udp' });
  const before = await ready(capture);
  const { seen, each } = numbers();
  const reading = drain(capture, each, 4000);
  const udp = await send(peer, { count: 2000, rate: RATE, proto: 'udp' });
  const icmp = await send(peer, { count: 1000, rate: RATE, proto: 'icmp' });
  await reading;
  const stats = capture.stats();
  await capture.close();
  const filtered = stats.filtered - before.filtered;
  claim(
    seen.length === udp.sent && filtered === icmp.sent && balanced(stats),
    `filter 'udp' (${capture.plan.filterReason})`,
    `took ${seen.length} of ${udp.sent} UDP, filtered ${filtered} of ${icmp.sent} ICMP`,
  );
}

/** Frames of many flows, spread by the NIC. */
async function queues(uri) {
  let capture;
  try {
    capture = await open(uri, { queues: '0-1' });
  } catch (error) {
    claim(error.code === 'RINGTAP_UNSUPPORTED', 'two queues are refused', error.message);
    return;
  }
  for (const text of capture.plan.notes) console.log(`       note: ${text}`);
  await ready(capture);
  const flows = new Map();
  let packets = 0;
  const each = ({ length, view, offset, queue }) => {
    packets += length;
    for (let i = 0; i < length; i++) {
      const flow = view.getUint32(offset[i] + 34); // both ports
      flows.set(flow, (flows.get(flow) ?? new Set()).add(queue[i]));
    }
  };
  const reading = drain(capture, each, 3000);
  const { sent } = await send(peer, { count: 4000, rate: RATE, flows: 64 });
  await reading;
  const used = new Set([...flows.values()].flatMap((set) => [...set]));
  claim(
    packets === sent && flows.size === 64 && [...flows.values()].every(({ size }) => size === 1),
    'two queues: each flow on one',
    `${packets} of ${sent}, ${flows.size} flows on queues ${[...used].sort().join(' and ')}`,
  );
  await capture.close();
}

async function transmit(uri) {
  const other = await open(`afpacket:${peer}`, { direction: 'in' });
  for (const [title, make] of [
    ['openTransmitter', () => openTransmitter(uri)],
    ['capture.transmit', () => open(uri)],
  ]) {
    const owner = await make();
    const transmitter = owner.transmit ?? owner;
    const frame = Buffer.alloc(60, 0xff);
    frame.writeUInt16BE(0x88b5, 12);
    // The link may still be coming up.
    await sleep(6000);
    for (let i = 0; i < 2000; i++) {
      frame.writeBigUInt64BE(BigInt(i), 42);
      while (!transmitter.send(frame)) await transmitter.flush();
    }
    await transmitter.flush();
    const { seen, each } = numbers();
    await drain(other, each);
    const { completed: sent, accepted, queued } = transmitter.stats();
    const failed = accepted - sent - queued;
    claim(
      sent === 2000 && queued === 0 && failed === 0 && seen.length === 2000 && inOrder(seen, 2000),
      `transmit, ${title}`,
      `${sent} sent, ${failed} failed, ${seen.length} arrived`,
    );
    await owner.close();
  }
  await other.close();
}

/** Pulls the card out while it is captured from. A card of vfio-pci stays until its user lets go. */
async function pulled(uri, address) {
  const capture = await open(uri);
  const iterate = async () => {
    for await (const _ of capture);
  };
  const end = iterate().then(
    () => ({ code: 'ended' }),
    (error) => error,
  );
  writeFileSync(pci(address, 'remove'), '1');
  const { code, message } = await Promise.race([end, sleep(10_000).then(() => ({ code: 'goes on' }))]);
  await capture.close();
  claim(code === 'RINGTAP_INTERFACE_GONE', 'a card that is pulled out ends the capture', message ?? code);
  const { code: next } = await refusal(uri);
  claim(next === 'RINGTAP_NO_INTERFACE', 'and is not found again', next);
}

const driver = readFileSync(`/sys/class/net/${nic}/device/uevent`, 'utf8').match(/^DRIVER=(.*)$/m)[1];
const address = addressOf(nic);
console.log(`dpdk on ${address} (${driver} of Linux ${release()})`);
ip('link', 'set', peer, 'up');
const bound = await refusal(`dpdk:${address}`);
claim(
  bound.code === 'RINGTAP_BUSY' && bound.hint.includes('dpdk-devbind'),
  'refused while the kernel has it',
  bound.message,
);
ip('link', 'set', nic, 'down');
claim(bind(address, access), `bound to ${access}`);
claim(
  (await devices()).some(({ uris }) => uris.includes(`dpdk:${address}`)),
  'devices() names it',
);
await exact('dpdk:0');
await exact(`dpdk:${address}`);
await stalled(`dpdk:${address}`);
await filter(`dpdk:${address}`);
await queues(`dpdk:${address}`);
await transmit(`dpdk:${address}`);
if (access === 'uio_pci_generic') await pulled(`dpdk:${address}`, address);
