// Live traffic: every capture method that was asked for and its peers take turns at the same frames.
import { clockOffset, generator, workingGenerator } from '../generators.mjs';
import { figure, range } from '../lib/report.mjs';
import { highestLossless } from '../lib/search.mjs';
import { median, spread } from '../lib/stats.mjs';
import { trial } from '../lib/trial.mjs';

/** Of a trial's packets: V8 has optimised the loop by then. */
const WARMUP_SHARE = 0.25;
/** Until a receiver has been measured once. */
const GUESSED_PPS = 1_000_000;
const LEAST_PACKETS = 20_000;

/** Some methods on one wire. */
export class Live {
  #bench;
  #methods;
  #receivers;
  #generator;
  /** Receiver and traffic → what was offered last: how many packets a trial takes. */
  #pace = new Map();

  /** `only`: this generator instead of those of the profile. */
  constructor(bench, methods, only) {
    this.#bench = bench;
    this.#methods = methods;
    this.#receivers = [];
    for (const receiver of methods.flatMap(({ receivers }) => receivers)) {
      if (receiver.missing === undefined) this.#receivers.push(receiver);
      else bench.skip(receiver.name, receiver.missing);
    }
    this.#generator = only;
  }

  async run() {
    const { profile } = this.#bench;
    const traffics = this.#generator === undefined ? profile.traffics : this.#withGenerator(this.#generator);
    for (const traffic of traffics) await this.#compare(traffic);
    for (const size of profile.search.sizes) await this.#search(size);
    await this.#latency();
  }

  #withGenerator(name) {
    const chosen = this.#bench.profile.traffics.map((traffic) => ({ ...traffic, generator: name }));
    return chosen.filter((traffic) => generator(name).takes(traffic));
  }

  #of(kinds) {
    return this.#receivers.filter(({ kind }) => kinds.includes(kind));
  }

  /** A trial of about so many seconds for a part of the report; undefined when it failed, which is said. */
  async #try(part, receiver, { size, generator: name, rate = 0, seconds, clock }) {
    const sender = workingGenerator(name, this.#bench);
    const key = `${receiver.name} ${name} ${size} ${rate === 0}`;
    const pps = rate > 0 ? rate : (this.#pace.get(key) ?? GUESSED_PPS);
    const measured = Math.round(pps * seconds);
    const count = clock === undefined ? Math.max(LEAST_PACKETS, measured) : measured;
    const traffic = { generator: sender, size, rate, count, warmup: Math.round(count * WARMUP_SHARE), clock };
    const result = await this.#bench.attempt(receiver.name, () => trial(receiver, traffic, this.#bench.wires));
    if (result === undefined) {
      this.#receivers = this.#receivers.filter((other) => other !== receiver);
      return undefined;
    }
    this.#pace.set(key, result.offered);
    this.#bench.trials.push({ part, ...result });
    return result;
  }

  /** The same traffic for everybody, in turns. */
  async #compare(traffic) {
    const { profile } = this.#bench;
    const { size, generator: name, rate = 0, kinds, repeats = profile.repeats, seconds = profile.seconds } = traffic;
    const results = new Map(this.#of(kinds).map(({ name: who }) => [who, []]));
    for (let round = 0; round < repeats; round++) {
      for (const receiver of this.#of(kinds)) {
        if (receiver.kind === 'tool' && round >= profile.toolRepeats) continue;
        const result = await this.#try('comparison', receiver, { size, generator: name, rate, seconds });
        if (result === undefined) results.delete(receiver.name);
        else results.get(receiver.name).push(result);
      }
    }
    const { name: sender } = workingGenerator(name, this.#bench);
    const pace = rate > 0 ? `${rate / 1000} kpps` : 'flat out';
    const title = `${sizeName(size)}, ${sender}, ${pace}`;
    this.#bench.table(comparison(title, results));
    for (const method of this.#methods) {
      for (const goal of method.goals ?? []) {
        if (goal.at === pace && size === 64) this.#judge(goal, title, results);
      }
    }
  }

  #judge({ figure: what, ours, peer, most, least }, where, results) {
    if (!results.has(ours) || !results.has(peer)) return;
    // Tools come in the first rounds only.
    const rounds = Math.min(results.get(ours).length, results.get(peer).length);
    const [mine, theirs] = [ours, peer].map((who) => results.get(who).slice(0, rounds));
    const offered = `offered ${range(spread(mine.map((result) => result.offered / 1e6)))} Mpps`;
    if (what === 'lost') {
      const [our, their] = [mine, theirs].map((all) => all.reduce((sum, { lost }) => sum + lost, 0));
      this.#bench.add({
        what: `${ours} ${where}: lost in ${mine.length} trials, beside ${peer}`,
        figures: { [peer]: String(their) },
        result: String(our),
        n: mine.length,
        goal: { most: their },
        pass: our <= their,
        note: offered,
      });
      return;
    }
    const { take, unit, title } = FIGURES[what];
    const values = { ours: mine.map(take), peer: theirs.map(take) };
    this.#bench.ratio(`${ours} ${where}: ${title} beside ${peer}`, {
      ...values,
      peerName: peer,
      unit,
      goal: goalOf({ most, least }),
      note: offered,
    });
  }

  /** The highest rate without loss of each receiver. */
  async #search(size) {
    const { seconds, precision, confirmations, kinds } = this.#bench.profile.search;
    const { name } = workingGenerator(this.#generator ?? 'xdp', this.#bench);
    const rows = [];
    for (const receiver of this.#of(kinds)) {
      const offer = async (rate) => {
        const result = await this.#try('search', receiver, { size, generator: name, rate, seconds });
        if (result === undefined) throw new Error('failed');
        return result;
      };
      const found = await highestLossless(offer, { precision, confirmations }).catch(() => undefined);
      if (found === undefined) continue;
      this.#bench.searches.push({ receiver: receiver.name, size, generator: name, seconds, ...found });
      rows.push([
        receiver.name,
        `${found.isGeneratorLimited ? '≥ ' : ''}${figure(found.rate / 1e6)}`,
        String(found.trials.length),
        found.isGeneratorLimited ? 'the generator could not send faster' : '',
      ]);
    }
    this.#bench.table({
      title: `Highest rate without loss: ${sizeName(size)}, ${name}, Mpps`,
      note: `Bisection to ${precision * 100} %, trials of ${seconds} s, the answer held in ${confirmations} more.`,
      head: ['receiver', 'Mpps', 'trials', ''],
      rows,
    });
  }

  /** From the sender's stamp to the program, at a rate that lets every reader sleep. */
  async #latency() {
    const { seconds, rate, repeats } = this.#bench.profile.latency;
    const clock = clockOffset();
    const prompt = this.#methods.flatMap((method) => method.prompt ?? []);
    const results = new Map();
    for (let round = 0; round < repeats; round++) {
      for (const receiver of [...this.#of(['ringtap', 'C']), ...prompt]) {
        const result = await this.#try('latency', receiver, { size: 64, generator: 'sendmmsg', rate, seconds, clock });
        if (result?.latency !== undefined) results.set(receiver, [...(results.get(receiver) ?? []), result.latency]);
      }
    }
    const of = (all, key) => range(spread(all.map((latency) => latency[key])));
    this.#bench.table({
      title: `Wake-up latency: from the sender's stamp to the program, µs, at ${rate} pps`,
      note: `n = ${repeats} trials of ${seconds} s. A method that gathers packets waits for them: see timeoutMs.`,
      head: ['receiver', 'p50', 'p99', 'p99.9', 'most'],
      rows: [...results].map(([{ name }, all]) => [name, ...['p50', 'p99', 'p999', 'max'].map((key) => of(all, key))]),
    });
  }
}

/** Without either the row is watched, not judged. */
const goalOf = ({ most, least }) => (most !== undefined ? { most } : least !== undefined ? { least } : undefined);

/** What goals are about. */
const FIGURES = {
  cost: { take: ({ userNs, systemNs }) => userNs + systemNs, unit: 'ns', title: 'CPU per packet' },
  delivered: { take: ({ delivered }) => delivered / 1e6, unit: 'Mpps', title: 'packets per second' },
};

const sizeName = (size) => (size === 'imix' ? 'IMIX' : `${size} B`);

function comparison(title, results) {
  const columns = {
    n: (all) => String(all.length),
    'delivered, Mpps': (all) => range(spread(all.map(({ delivered }) => delivered / 1e6))),
    'lost, %': (all) => range(spread(all.map(({ lost, sent }) => (lost / sent) * 100))),
    'by cause': causes,
    'CPU, ns a packet': (all) => range(spread(all.map(FIGURES.cost.take))),
    'user + system': (all) =>
      ['userNs', 'systemNs'].map((key) => figure(median(all.map((result) => result[key])))).join(' + '),
    softirq: (all) => figure(all.reduce((sum, { softirqNs }) => sum + softirqNs, 0) / all.length),
    batch: (all) => (all[0].batch === undefined ? '–' : figure(median(all.map(({ batch }) => batch)))),
    'memory, MiB': (all) => figure(Math.max(...all.map(({ rssMiB }) => rssMiB))),
    order: (all) => disorder(all),
    'limited by': (all) => [...new Set(all.map(({ limitedBy }) => limitedBy))].join(', '),
  };
  return {
    title,
    note: 'Softirq: of all cores, sender included, by the clock tick. Limited by generator: the receiver could take more.',
    head: ['receiver', ...Object.keys(columns)],
    rows: [...results].map(([who, all]) => [who, ...Object.values(columns).map((column) => column(all))]),
  };
}

/** "rx_dropped 12", summed over the trials; what a method cannot tell is left out. */
function causes(all) {
  const sums = {};
  for (const { drops = {} } of all) {
    for (const [cause, count] of Object.entries(drops)) if (count > 0) sums[cause] = (sums[cause] ?? 0) + count;
  }
  return (
    Object.entries(sums)
      .map(([cause, count]) => `${cause} ${count}`)
      .join(', ') || '–'
  );
}

function disorder(all) {
  if (all[0].reordered === undefined) return '–';
  const sum = (key) => all.reduce((total, result) => total + result[key], 0);
  const [reordered, duplicates] = [sum('reordered'), sum('duplicates')];
  return reordered + duplicates === 0 ? 'kept' : `${reordered} late, ${duplicates} twice`;
}
