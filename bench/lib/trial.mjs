// One trial: a generator, a receiver, and what both say afterwards.
import { setTimeout } from 'node:timers/promises';
import { countSoftirq } from './machine.mjs';
import { Pinned, READER_CORE, SENDER_CORE } from './processes.mjs';

const GRACE_S = 30; // what a trial may take beyond its packets: a starved machine is slow, a hanging peer is for ever

/**
 * Sends `count` frames to a receiver that is waiting for them. Traffic: { generator, size, rate (0: flat out), count,
 * warmup, flows, clock }; wires: { rx, tx }. Throws when one of the two crashes, hangs or gives no result; both are gone then.
 */
export async function trial(receiver, traffic, { rx, tx }) {
  const { generator, count, warmup, rate = 0, size, flows, clock } = traffic;
  const { argv, env } = receiver.command({ iface: rx, warmup, count: count - warmup, clock });
  const source = generator.command({ iface: tx, size, count, rate, flows, stamp: clock !== undefined });
  const to = new Pinned(receiver.core ?? READER_CORE, argv, env);
  const from = new Pinned(SENDER_CORE, source);
  const late = new AbortController();
  const limit = setTimeout((rate > 0 ? count / rate : 0) * 1000 + GRACE_S * 1000, undefined, { signal: late.signal });
  const timeout = limit.then(
    () => Promise.reject(new Error(`${receiver.name}: no result in time`)),
    () => {},
  );
  const run = async () => {
    await Promise.all([to.ready, from.ready]);
    const softirq = countSoftirq();
    const sending = from.ask('go').then((sent) => {
      to.tell('sent'); // for those who cannot know
      return sent;
    });
    const [sent, received] = await Promise.all([sending, to.result()]);
    const softirqNs = softirq();
    await Promise.all([to.end(), from.end()]);
    return describe(receiver, traffic, sent, received, softirqNs);
  };
  try {
    return await Promise.race([run(), timeout]);
  } finally {
    late.abort();
    to.kill();
    from.kill();
  }
}

function describe(receiver, { generator, size, rate = 0 }, sent, received, softirqNs) {
  const { packets, user, system, missing: lost, batches, largest, rssKiB, wall } = received;
  const { reordered, duplicates, dropped, drops, latency, lateness, stalls, bytes, sum, waits, laps } = received;
  return {
    receiver: receiver.name,
    generator: generator.name,
    size,
    asked: rate,
    offered: sent.pps,
    sent: sent.sent,
    refused: sent.errors,
    lost,
    // The generator's clock: a reader that lost packets cannot know when the last one came.
    delivered: (sent.pps * (sent.sent - lost)) / sent.sent,
    packets,
    userNs: (user * 1000) / packets,
    systemNs: (system * 1000) / packets,
    softirqNs: softirqNs / sent.sent,
    cpuShare: (user + system) / wall,
    reordered,
    duplicates,
    dropped,
    drops,
    batch: batches > 0 ? packets / batches : undefined,
    largest,
    rssMiB: rssKiB / 1024,
    latency,
    lateness,
    stalls,
    bytes,
    sum,
    wall,
    waits,
    laps,
    limitedBy: limit(rate, sent, lost),
  };
}

const SHORTFALL = 0.03; // of the rate that was asked for

/** Who set the rate: a trial without loss says nothing about what the receiver could have taken. */
function limit(rate, sent, lost) {
  if (lost > 0) return 'receiver';
  if (rate === 0 || sent.pps < rate * (1 - SHORTFALL)) return 'generator';
  return 'rate';
}
