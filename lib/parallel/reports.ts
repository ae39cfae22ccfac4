import type { Report } from './types.js';

interface Reader {
  resolve(result: IteratorResult<Report, undefined>): void;
  reject(reason: unknown): void;
}

/** Values on their way from workers to whoever reads them. */
export class Reports {
  readonly #taken: (worker: number) => void;
  readonly #waiting: Report[] = [];
  readonly #readers: Reader[] = [];
  #end: { readonly reason: unknown } | undefined;

  constructor(taken: (worker: number) => void) {
    this.#taken = taken;
  }

  add(report: Report): void {
    const reader = this.#readers.shift();
    if (reader === undefined) {
      this.#waiting.push(report);
    } else {
      this.#taken(report.worker);
      reader.resolve({ value: report, done: false });
    }
  }

  /** Nothing more comes. @param reason what readers are rejected with then; undefined: they are told that it is the end */
  end(reason: unknown): void {
    this.#end ??= { reason };
    for (const reader of this.#readers.splice(0)) this.#settleEnd(reader);
  }

  iterate(): AsyncIterableIterator<Report, undefined> {
    let isOver = false;
    return {
      next: () => {
        if (isOver) return Promise.resolve({ value: undefined, done: true as const });
        return this.#next();
      },
      return: async () => {
        isOver = true;
        return { value: undefined, done: true as const };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  #next(): Promise<IteratorResult<Report, undefined>> {
    const report = this.#waiting.shift();
    if (report !== undefined) {
      this.#taken(report.worker);
      return Promise.resolve({ value: report, done: false });
    }
    return new Promise((resolve, reject) => {
      const reader = { resolve, reject };
      if (this.#end === undefined) this.#readers.push(reader);
      else this.#settleEnd(reader);
    });
  }

  #settleEnd({ resolve, reject }: Reader): void {
    if (this.#end?.reason === undefined) resolve({ value: undefined, done: true });
    else reject(this.#end.reason);
  }
}
