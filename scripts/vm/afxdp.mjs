// AF_XDP on the driver of a NIC, shown in a guest through the public API:
//   npm run lab:vm -- --kernel 7.2 --nic igb -- node scripts/vm/afxdp.mjs nic0 peer0 'native, zero-copy'
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { open, openTransmitter } from 'ringtap';
import { balanced, causes, claim, drain, inOrder, ip, numbers, send, sleep } from './prove.mjs';

const [nic = 'nic0', peer = 'peer0', expected = 'native, zero-copy'] = process.argv.slice(2);
const COUNT = 20_000;
// In software a guest moves 10 to 20 thousand packets a second: this leaves room.
const RATE = 4000;

const start = (options) => open(`afxdp:${nic}`, { mode: expected.split(',')[0], ...options });
const xdpAttached = () => ip('link', 'show', 'dev', nic).includes('prog/xdp');

/** How long a NIC without a program takes to be ready for frames differs; a frame that arrives tells. */
async function ready(capture) {
  const { seen, each } = numbers();
  for (let tries = 0; seen.length === 0 && tries < 30; tries++) {
    await send(peer, { count: 1 });
    await drain(capture, each, 200);
  }
  if (seen.length === 0) throw new Error(`nothing that ${peer} sends arrives at ${nic}: see ip -s link`);
  await drain(capture, each, 500);
  return capture.stats();
}

async function exact() {
  const capture = await start();
  const { mode, zeroCopy, timestamp, notes } = capture.plan;
  claim(mode === expected, 'mode', `${mode}; timestamp ${timestamp}; zeroCopy ${zeroCopy}`);
  for (const text of notes) console.log(`       note: ${text}`);
  const before = await ready(capture);
  const { seen, each } = numbers();
  let reading = true;
  const read = (async () => {
    for await (const batch of capture) {
      each(batch);
      if (!reading) break;
    }
  })();
  const { sent } = await send(peer, { count: COUNT, rate: RATE });
  for (let last = -1; seen.length !== last; ) {
    last = seen.length;
    await sleep(1500);
  }
  reading = false;
  const stats = capture.stats();
  await capture.close();
  await read;
  const delivered = stats.delivered - before.delivered;
  const dropped = stats.dropped - before.dropped;
  claim(
    sent === COUNT && seen.length === delivered && delivered + dropped === sent && balanced(stats),
    'sent = delivered + dropped',
    `${sent} = ${delivered} + ${dropped} (${causes(stats)})`,
  );
  claim(inOrder(seen, sent), 'each frame once and in order', `${seen.length} numbers`);
  claim(!xdpAttached(), 'the program is gone after close()');
}

/** A reader that stands still while 3,000 frames arrive. */
async function stalled(title, options, cause) {
  const capture = await start(options);
  const before = await ready(capture);
  let done = false;
  const sending = send(peer, { count: 3000, rate: RATE }).finally(() => {
    done = true;
  });
  // WHY not until all is sent: a virtio NIC without free frames takes nothing from the wire, and the sender waits.
  await Promise.race([sending, sleep(4000)]);
  await sleep(1500);
  const heldBack = !done;
  const lost = capture.stats().dropped - before.dropped;
  const { seen, each } = numbers();
  await drain(capture, each);
  const { sent } = await sending;
  await drain(capture, each, 500);
  const stats = capture.stats();
  await capture.close();
  const dropped = stats.dropped - before.dropped;
  const figures = `${sent} sent, ${seen.length} delivered, ${dropped} dropped (${causes(stats)})`;
  const sound = balanced(stats) && inOrder(seen, sent);
  if (cause === undefined) {
    // A NIC that has no frame to write to drops by itself, and the kernel does not know: unknown, not zero.
    const missing = sent - seen.length - dropped;
    claim(
      sound && seen.length > 0 && missing >= 0 && stats.drops.nic === null,
      title,
      `${figures}, ${missing} in the NIC${heldBack ? ', which let the sender wait' : ''}`,
    );
    return;
  }
  claim(sound && seen.length + dropped === sent, `${title}: sent = delivered + dropped`, figures);
  claim(lost > 1000 && stats.drops[cause] === stats.dropped, `${title}: the cause`, cause);
}

async function filter() {
  const host = await open(`afpacket:${nic}`, { direction: 'in' });
  const capture = await start({ filter: 'udp' });
  await ready(capture);
  const passed = numbers();
  await drain(host, passed.each, 500);
  const already = passed.seen.length;
  const taken = numbers();
  // Both are read meanwhile: with a block each 10 ms, afpacket's ring is full after less than a second.
  const [udp, icmp] = await Promise.all([
    send(peer, { count: 2000, rate: RATE / 2, proto: 'udp' }),
    send(peer, { count: 1000, rate: RATE / 4, proto: 'icmp' }),
    drain(capture, taken.each, 4000),
    drain(host, passed.each, 4000),
  ]);
  claim(
    taken.seen.length === udp.sent && passed.seen.length - already === icmp.sent && already === 0,
    `filter 'udp' in ${capture.plan.filter}`,
    `took ${taken.seen.length} of ${udp.sent} UDP, the host got ${passed.seen.length} of ${icmp.sent} ICMP`,
  );
  await capture.close();
  await host.close();
}

/** Reads twice a second; stamps made at reading would be 250 ms late in the middle. */
async function timestamps() {
  const capture = await start();
  await ready(capture);
  const late = [];
  let ordered = true;
  let last = 0n;
  const sending = send(peer, { count: 2000, rate: 1000, stamp: true });
  let done = false;
  sending.then(() => {
    done = true;
  });
  for (let rounds = 0; rounds < 3; rounds += done ? 1 : 0) {
    await sleep(500);
    for (let batch = capture.tryNext(); batch !== null; batch = capture.tryNext()) {
      for (let i = 0; i < batch.length; i++) {
        const at = batch.timeNs(i);
        ordered &&= at >= last;
        last = at;
        // The guest's TAI clock is not set: it runs with UTC, and so does the sender's.
        late.push(Number(at - batch.view.getBigUint64(batch.offset[i] + 50)) / 1e6);
      }
    }
  }
  await sending;
  late.sort((a, b) => a - b);
  const [least, median, most] = [late[0], late[late.length >> 1], late.at(-1)].map((ms) => ms.toFixed(2));
  claim(
    late.length === 2000 && ordered && late[0] > 0 && late[1000] < 50,
    `timestamps (${capture.plan.timestamp}) of a slow reader`,
    `${least} to ${most} ms after sending, median ${median}`,
  );
  await capture.close();
}

async function transmit() {
  const other = await open(`afpacket:${peer}`, { direction: 'in' });
  for (const [title, make] of [
    ['openTransmitter', () => openTransmitter(`afxdp:${nic}`)],
    ['capture.transmit', () => start()],
  ]) {
    const owner = await make();
    const transmitter = owner.transmit ?? owner;
    const frame = Buffer.alloc(60, 0xff);
    frame.writeUInt16BE(0x88b5, 12);
    // The link may still be coming up.
    await sleep(2500);
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

const driver = readFileSync(`/sys/class/net/${nic}/device/uevent`, 'utf8').match(/^DRIVER=(.*)$/m)[1];
console.log(`afxdp on ${driver}, Linux ${release()}, expecting '${expected}'`);
for (const name of [nic, peer]) ip('link', 'set', name, 'up');
await exact();
await stalled('a full RX ring', { frames: 4096, rxRing: 64 }, 'rxRingFull');
await stalled(
  'no free frames',
  { frames: 128, batchSize: 16 },
  expected.endsWith('zero-copy') ? undefined : 'rxDropped',
);
await filter();
await timestamps();
await transmit();
