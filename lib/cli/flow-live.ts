// Flows of a running capture as a table that is drawn anew each second, as nethogs and iftop have it.
import { printable } from '../errors/printable.js';
import type { FlowBatch } from '../flow/index.js';
import { heading, namesOf, type Top, tableOf } from './flow-table.js';
import { integer, scaled } from './format.js';

/** Rows that are kept: beyond twice as many, those with the fewest bytes go. */
const MOST_ROWS = 10_000;
/** How much of the rate is that of the last second; the rest is what was shown before. */
const NEWEST = 0.6;

/** What a key press sorts by. */
const SORTS = {
  r: 'rate',
  b: 'bytes',
  p: 'packets',
  s: 'source',
  d: 'destination',
} as const;
type Sort = (typeof SORTS)[keyof typeof SORTS];

interface Row {
  readonly names: readonly string[];
  packets: number;
  bytes: number;
  /** Since the last look at the clock. */
  fresh: number;
  /** Bytes a second. */
  rate: number;
}

/** Where the table is drawn. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export class LiveTable {
  readonly #top: Top | undefined;
  readonly #rows = new Map<string | number, Row>();
  #sort: Sort = 'rate';
  #bytes = 0;
  #rate = 0;

  constructor(top: Top | undefined) {
    this.#top = top;
  }

  /** A flow that goes on comes in parts, each with what was new. */
  add(flows: FlowBatch): void {
    for (let i = 0; i < flows.length; i++) {
      const packets = flows.packetsToServer[i]! + flows.packetsToClient[i]!;
      const bytes = flows.frameBytesToServer[i]! + flows.frameBytesToClient[i]!;
      const row = this.#rowOf(flows, i);
      row.packets += packets;
      row.bytes += bytes;
      row.fresh += bytes;
      this.#bytes += bytes;
    }
    if (this.#rows.size > 2 * MOST_ROWS) this.#prune();
  }

  /** So much time went by since the last call. */
  elapse(seconds: number): void {
    let fresh = 0;
    for (const row of this.#rows.values()) {
      row.rate += NEWEST * (row.fresh / seconds - row.rate);
      if (row.rate < 0.5) row.rate = 0;
      fresh += row.fresh;
      row.fresh = 0;
    }
    this.#rate += NEWEST * (fresh / seconds - this.#rate);
  }

  /** Takes a key; false where it means nothing here. */
  press(key: string): boolean {
    const sort = SORTS[key as keyof typeof SORTS];
    if (sort === undefined) return false;
    this.#sort = sort;
    return true;
  }

  /** All that fits, a line each. @param head what the table is about: anything */
  screen(head: string, counts: { packets: number; active: number; dropped: number }, { columns, rows }: Size): string {
    const about = [
      printable(head),
      `${integer(counts.packets)} packets`,
      scaled(this.#rate * 8, 'bit/s'),
      `${integer(counts.active)} open flows`,
      `${integer(counts.dropped)} dropped`,
    ];
    const lines = [about.join('  '), ...this.#table(Math.max(0, rows - 3)), this.#help()];
    return lines.map((line) => line.slice(0, columns)).join('\n');
  }

  /** What it comes to at the end. */
  text(rows: number): string {
    this.#sort = 'bytes';
    return `${this.#table(rows).join('\n')}\n`;
  }

  #help(): string {
    const keys = Object.entries(SORTS).map(([key, name]) =>
      name === this.#sort ? `[${key} ${name}]` : `${key} ${name}`,
    );
    return `sort by: ${keys.join('  ')}    q quit`;
  }

  #table(count: number): string[] {
    const lines = this.#sorted()
      .slice(0, count)
      .map(({ names, packets, bytes, rate }) => [
        ...names,
        integer(packets),
        scaled(bytes, 'B'),
        scaled(rate * 8, 'bit/s'),
      ]);
    const names = heading(this.#top);
    return tableOf([...names, 'packets', 'bytes', 'rate'], lines, names.length);
  }

  #sorted(): Row[] {
    const rows = [...this.#rows.values()];
    const heads = heading(this.#top);
    const column = heads.indexOf(this.#sort);
    if (column >= 0) return rows.sort((a, b) => compare(a.names[column]!, b.names[column]!) || b.bytes - a.bytes);
    const by = this.#sort === 'packets' || this.#sort === 'rate' ? this.#sort : 'bytes';
    return rows.sort((a, b) => b[by] - a[by] || b.bytes - a.bytes);
  }

  #rowOf(flows: FlowBatch, i: number): Row {
    const names = this.#top === undefined ? undefined : namesOf(flows, i, this.#top);
    const key = names?.join(' ') ?? flows.id[i]!;
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { names: names ?? namesOf(flows, i, undefined), packets: 0, bytes: 0, fresh: 0, rate: 0 };
      this.#rows.set(key, row);
    }
    return row;
  }

  #prune(): void {
    const kept = [...this.#rows].sort(([, a], [, b]) => b.bytes - a.bytes).slice(0, MOST_ROWS);
    this.#rows.clear();
    for (const [key, row] of kept) this.#rows.set(key, row);
  }
}

/** As text, but numbers in it as numbers: 10.0.0.9 comes before 10.0.0.10. */
function compare(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.replace(/\d+/g, (digits) => digits.padStart(5, '0')));
  return left! < right! ? -1 : left! > right! ? 1 : 0;
}
