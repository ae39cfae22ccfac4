// Has something become slower since an earlier report? Each row pairs ringtap with its peer in neighbouring runs; the
// ratios of the pairs are what is compared, so that another day or another machine cancels out.
import { median, permutationTest } from './stats.mjs';

const LEAST_CHANGE = 0.05;
const SIGNIFICANCE = 0.01;

/** Ratios of the pairs, turned so that more is worse. */
function badness({ runs, goal }) {
  const ratios = runs.ours.map((value, i) => value / runs.peer[i]);
  return goal?.least === undefined ? ratios : ratios.map((ratio) => 1 / ratio);
}

const percentOf = (share) => `${(share * 100).toFixed(0)} %`;

/** { worse, better, unclear, text } of the rows that both reports have. */
export function compare(file, earlier, report) {
  const before = new Map(earlier.rows.map((row) => [row.what, row]));
  const result = { file, worse: [], better: [], unclear: [], text: [] };
  const changes = [];
  for (const row of report.rows) {
    const old = before.get(row.what);
    if (old?.runs === undefined || row.runs === undefined) continue;
    const [then, now] = [badness(old), badness(row)];
    const change = median(now) / median(then) - 1;
    const p = permutationTest(then.map(Math.log), now.map(Math.log));
    changes.push(Math.abs(change));
    if (Math.abs(change) < LEAST_CHANGE) continue;
    const kind = p > SIGNIFICANCE ? 'unclear' : change > 0 ? 'worse' : 'better';
    result[kind].push({ what: row.what, change, p });
    const verdict = kind === 'unclear' ? 'within the noise, or too few runs' : kind;
    result.text.push(`${row.what}: ${change > 0 ? '+' : ''}${percentOf(change)}, p = ${p.toPrecision(2)}: ${verdict}`);
  }
  const { worse, better, text } = result;
  text.push(
    changes.length === 0
      ? `No row of ${file} was measured now.`
      : `${changes.length} ratios compared with ${file}: they differ by ${percentOf(median(changes))} in the median and ${percentOf(Math.max(...changes))} at most; ${worse.length} worse, ${better.length} better (a change counts from ${percentOf(LEAST_CHANGE)} and p ≤ ${SIGNIFICANCE}).`,
  );
  return result;
}
