// A capture on the network as it is: whatever comes is counted, and who sends it is not known.
import { runReader } from './processes.mjs';
import { ringtap } from './receivers.mjs';
import { figure, range } from './report.mjs';
import { spread } from './stats.mjs';

export async function external(bench, uri) {
  const { repeats, seconds } = bench.profile;
  const receiver = ringtap(uri, () => uri, '--foreign', '--seconds', String(seconds));
  const results = [];
  for (let run = 0; run < repeats; run++) {
    const { argv } = receiver.command({ warmup: 0, count: Number.MAX_SAFE_INTEGER });
    results.push(await runReader(argv));
  }
  bench.raw.external = results;
  const of = (take) => range(spread(results.map(take)));
  const dropped = results.reduce((sum, result) => sum + result.dropped, 0);
  bench.table({
    title: `${uri}, traffic from elsewhere`,
    note: `n = ${repeats} trials of ${seconds} s. Loss is what the capture method admits: nobody said what was sent.`,
    head: ['received, Mpps', 'CPU, ns a packet', 'CPU, % of a core', 'batch', 'dropped', 'by cause'],
    rows: [
      [
        of(({ packets, wall }) => packets / wall),
        of(({ packets, user, system }) => (packets === 0 ? 0 : ((user + system) * 1000) / packets)),
        of(({ user, system, wall }) => ((user + system) / wall) * 100),
        of(({ packets, batches }) => (batches === 0 ? 0 : packets / batches)),
        String(dropped),
        Object.entries(results[0].drops)
          .filter(([, count]) => count !== undefined && count !== null)
          .map(([cause]) => `${cause} ${figure(results.reduce((sum, { drops }) => sum + drops[cause], 0))}`)
          .join(', '),
      ],
    ],
  });
}
