// What the files in bench/rows are given: where results go, and how they are made comparable.
import { Pinned, READER_CORE } from './processes.mjs';
import { line, range, reaches, tableText } from './report.mjs';
import { ratios, spread } from './stats.mjs';

export class Bench {
  rows = [];
  tables = [];
  trials = [];
  searches = [];
  raw = {};
  skipped = [];
  #cleanUps = new Set();

  /**
   * `say(text)` shows progress; `profile` is one of profiles.mjs; `wires` { rx, tx }, or undefined without a lab;
   * `wants(name)` tells whether a row file or capture method was asked for.
   */
  constructor({ say, profile, wires, wants }) {
    Object.assign(this, { say, profile, wires, wants });
  }

  /** Row: { what, figures: { name: text }, result: text, goal, pass, note, runs }. */
  add(row) {
    this.rows.push(row);
    this.say(line(row));
  }

  /** A row whose result is the ratio of what two did in runs next to each other. */
  ratio(what, { ours, peer, peerName, unit, goal, note }) {
    const ratio = ratios(ours, peer);
    this.add({
      what,
      figures: { ringtap: `${range(spread(ours))} ${unit}`, [peerName]: `${range(spread(peer))} ${unit}` },
      result: `${range(ratio)} ×`,
      n: ratio.n,
      goal,
      pass: reaches(ratio.median, goal),
      note,
      runs: { ours, peer },
    });
  }

  /** { title, note, head: [texts], rows: [[texts]] } */
  table(table) {
    this.tables.push(table);
    this.say(tableText(table));
  }

  skip(what, reason) {
    this.skipped.push({ what, reason });
    this.say(`${what}: left out: ${reason}`);
  }

  /** Does something that may fail on this host: then it is left out, and the rest goes on. */
  async attempt(what, action) {
    try {
      return await action();
    } catch (error) {
      this.skip(what, reason(error));
      return undefined;
    }
  }

  /** `action` runs when the suite ends, however it ends. */
  onCleanUp(action) {
    this.#cleanUps.add(action);
  }

  cleanUp() {
    for (const action of this.#cleanUps) action();
    this.#cleanUps.clear();
  }
}

/** What went wrong, in a line: the process that ended, and its own words. */
function reason({ message }) {
  const [first, ...words] = message.trim().split('\n');
  const own = words.find((line) => /error:/i.test(line)) ?? words[0];
  return own === undefined ? first : `${first}: ${own.trim()}`;
}

/** CPU nanoseconds per packet. */
export const cost = ({ user, system, packets }) => ((user + system) * 1000) / packets;
/** Million packets per second of the reader's CPU time: what a core of its own gives. */
export const speed = ({ user, system, packets }) => packets / (user + system);

/**
 * Asks pinned readers in turn, `runs` times each, after a run that does not count. `question` may be a function of the
 * name.
 */
export async function interleave(commands, runs, question) {
  const names = Object.keys(commands);
  const readers = Object.fromEntries(names.map((name) => [name, new Pinned(READER_CORE, commands[name])]));
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let run = -1; run < runs; run++) {
    for (const name of names) {
      await readers[name].ready;
      const result = await readers[name].ask(typeof question === 'function' ? question(name) : question);
      if (run >= 0) results[name].push(result);
    }
  }
  for (const name of names) await readers[name].end();
  return results;
}

/** Everybody must have read the same bytes, or nothing that was measured means anything. */
export function checkSame(what, results) {
  const seen = (name) => results[name].map(({ packets, bytes, sum }) => `${packets} ${bytes} ${sum}`).join(', ');
  const [first, ...others] = Object.keys(results);
  for (const other of others) {
    if (seen(first) !== seen(other)) throw new Error(`${what}: ${first} and ${other} did not read the same packets`);
  }
}
