/** How the time of a packet is printed; the names of the styles are tcpdump's options. */
export type TimeStyle = 'clock' | 'none' | 'unix' | 'date';

const NS = 1_000_000_000;

/** Formats times to the microsecond, in the time zone of the process. */
export class Clock {
  readonly #style: TimeStyle;
  readonly #epochSeconds: number;
  readonly #epochNs: number;
  #second = Number.NaN;
  #text = '';

  /** @param epoch ns since 1970 that times count from */
  constructor(style: TimeStyle, epoch: bigint) {
    this.#style = style;
    this.#epochSeconds = Number(epoch / 1_000_000_000n);
    this.#epochNs = Number(epoch % 1_000_000_000n);
  }

  /** @param ns since the epoch given @returns the time and a space, or nothing */
  format(ns: number): string {
    if (this.#style === 'none') return '';
    const sum = ns + this.#epochNs;
    const second = Math.floor(sum / NS);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = this.#formatSecond(this.#epochSeconds + second);
    }
    const micros = Math.floor((sum - second * NS) / 1000);
    return `${this.#text}.${String(micros).padStart(6, '0')} `;
  }

  #formatSecond(seconds: number): string {
    if (this.#style === 'unix') return String(seconds);
    const date = new Date(seconds * 1000);
    const two = (value: number) => String(value).padStart(2, '0');
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
    if (this.#style === 'clock') return clock;
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock}`;
  }
}
