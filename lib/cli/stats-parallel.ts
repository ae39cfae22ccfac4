// `ringtap stats --workers`: several threads count.
import type { ParallelCapture, ParallelStats } from '../index.js';
import { authFor } from './auth.js';
import { causes, integer, scaled } from './format.js';
import { type OpenFlags, openOptions } from './options.js';
import { print, printJson } from './output.js';
import { onSignal } from './run.js';
import { announce } from './session.js';
import { type Found, nothing } from './stats-worker.js';

export interface ParallelFlags extends OpenFlags {
  workers: number | 'auto';
  duration?: number;
  json?: true;
}

const sum = (so: Found, more: Found): Found => ({
  packets: so.packets + more.packets,
  bytes: so.bytes + more.bytes,
  first: Math.min(so.first, more.first),
  last: Math.max(so.last, more.last),
});

export async function statsParallel(uri: string, filter: string | undefined, flags: ParallelFlags): Promise<void> {
  const { openParallel } = await import('../index.js'); // one thread needs none of it
  const parallel: ParallelCapture<Found> = await openParallel(uri, {
    ...authFor(uri),
    ...openOptions(flags, filter),
    workers: flags.workers,
    handler: new URL('./stats-worker.js', import.meta.url),
    reduce: { initial: nothing(), merge: sum },
  });
  const begin = performance.now();
  const stop = () => void parallel.close();
  onSignal(stop);
  const timer = flags.duration === undefined ? undefined : setTimeout(stop, flags.duration);
  announce(parallel.plan);
  try {
    await parallel.finished();
  } finally {
    clearTimeout(timer);
    await parallel.close();
    const totals = totalsOf(parallel, (performance.now() - begin) / 1000);
    await (flags.json ? printJson(totals) : print(describe(totals, parallel.stats())));
  }
}

function totalsOf(parallel: ParallelCapture<Found>, ran: number) {
  const { packets, bytes, first, last } = parallel.reduced;
  const seconds = parallel.plan.mode === 'read' ? Math.max(0, (last - first) / 1e9) || 0 : ran;
  const perSecond = (value: number) => (seconds > 0 ? Math.round(value / seconds) : 0);
  const { dropped, drops, imbalance, workers } = parallel.stats();
  return {
    uri: parallel.uri,
    backend: parallel.backend,
    packets,
    bytes,
    seconds: Number(seconds.toFixed(6)),
    pps: perSecond(packets),
    bps: perSecond(bytes * 8),
    dropped,
    drops,
    imbalance: Number(imbalance.toFixed(4)),
    workers: workers.map(({ delivered, dropped, cpuMs, restarts }) => ({
      packets: delivered,
      dropped,
      cpuMs: Math.round(cpuMs),
      restarts,
    })),
  };
}

function describe(totals: ReturnType<typeof totalsOf>, { drops }: ParallelStats): string {
  const { packets, bytes, seconds, pps, bps, dropped, imbalance, workers } = totals;
  const byCause = causes(drops);
  const rows = workers.map(
    (worker, i) =>
      `worker ${i}  ${integer(worker.packets)} packets, ${integer(worker.dropped)} dropped, ${integer(worker.cpuMs)} ms of CPU`,
  );
  return `packets  ${integer(packets)}
bytes    ${integer(bytes)}
seconds  ${seconds.toFixed(3)}
rate     ${scaled(pps, 'pps')}, ${scaled(bps, 'bit/s')}
dropped  ${integer(dropped)}${byCause === '' ? '' : ` (${byCause})`}
uneven   ${imbalance.toFixed(2)}
${rows.join('\n')}
`;
}
