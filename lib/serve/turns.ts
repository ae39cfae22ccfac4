// Whose password is looked at next: one at a time, because each takes memory, and no address behind the queue of another.

/** Nobody looks at it: too many wait already. */
export class TooMany extends Error {}

interface Attempt {
  readonly check: () => Promise<boolean>;
  readonly isGone: () => boolean;
  readonly settle: (outcome: Promise<boolean>) => void;
}

/** Attempts that may wait. */
const MOST = 64;
const MOST_OF_ADDRESS = 8;

export class Turns {
  /** Addresses take turns: the first is whose turn it is. */
  readonly #waiting = new Map<string, Attempt[]>();
  #count = 0;
  #isBusy = false;

  /**
   * What `check` answers when it is its turn. Whoever is gone by then is false, unlooked at.
   * @throws TooMany
   */
  take(address: string, check: () => Promise<boolean>, isGone: () => boolean): Promise<boolean> {
    this.#forgetGone();
    const own = this.#waiting.get(address) ?? [];
    if (own.length >= MOST_OF_ADDRESS || (this.#count >= MOST && !this.#makeRoom(own.length + 1))) {
      return Promise.reject(new TooMany());
    }
    return new Promise((resolve) => {
      own.push({ check, isGone, settle: resolve });
      this.#count++;
      this.#waiting.set(address, own);
      void this.#work();
    });
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const outcome = next.isGone() ? Promise.resolve(false) : next.check();
      next.settle(outcome);
      await outcome.catch(() => {});
    }
    this.#isBusy = false;
  }

  #next(): Attempt | undefined {
    const [first] = this.#waiting;
    if (first === undefined) return undefined;
    const [address, own] = first;
    const attempt = own.shift();
    this.#count--;
    this.#waiting.delete(address);
    if (own.length > 0) this.#waiting.set(address, own); // behind the others
    return attempt;
  }

  #forgetGone(): void {
    for (const [address, own] of [...this.#waiting]) {
      const here = own.filter((one) => !one.isGone());
      for (const one of own) if (!here.includes(one)) one.settle(Promise.resolve(false));
      this.#count -= own.length - here.length;
      if (here.length > 0) this.#waiting.set(address, here);
      else this.#waiting.delete(address);
    }
  }

  /** Of the address with the most attempts the last one goes, unless the new one's would have as many. */
  #makeRoom(count: number): boolean {
    const longest = [...this.#waiting.values()].reduce((a, b) => (b.length > a.length ? b : a));
    if (longest.length <= count) return false;
    longest.pop()!.settle(Promise.reject(new TooMany()));
    this.#count--;
    return true;
  }
}
