// Frames carry numbers: what came late, and what came twice. native/peers/numbers.h does the same in C++.

/** Numbers that are left out are no loss by themselves: a generator may use up one without sending it. */
export class Numbers {
  next = 0;
  /** First missing, first present, and so on: ascending. */
  #gaps = [];
  #late = [];

  /** A number that is not `next`. */
  surprise(number) {
    if (number < this.next) {
      this.#late.push(number);
    } else {
      this.#gaps.push(this.next, number);
      this.next = number + 1;
    }
  }

  /** { reordered, duplicates }: numbers that came after a greater one, and numbers that had come before. */
  result() {
    const filled = new Set();
    let duplicates = 0;
    for (const number of this.#late) {
      if (this.#wasMissing(number) && !filled.has(number)) filled.add(number);
      else duplicates++;
    }
    return { reordered: filled.size, duplicates };
  }

  #wasMissing(number) {
    let low = 0;
    let high = this.#gaps.length / 2; // the first gap that begins after it
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#gaps[middle * 2] <= number) low = middle + 1;
      else high = middle;
    }
    return low > 0 && number < this.#gaps[low * 2 - 1];
  }
}
