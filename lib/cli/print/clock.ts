/** How the time of a packet is printed; the names of the styles are tcpdump's options. */
export type TimeStyle = 'clock' | 'none' | 'unix' | 'date';

const NS = 1_000_000_000;
/** tcpdump's words for a time that no calendar has. */
const BEYOND = '[Error converting time]';

/** Formats times to the microsecond, in the time zone of the process. */
export class Clock {
  readonly #style: TimeStyle;
  readonly #epochSeconds: number;
  readonly #epochNs: number;
  #second = Number.NaN;
  #text: string | undefined;

  /** @param epoch ns since 1970 that times count from */
  constructor(style: TimeStyle, epoch: bigint) {
    this.#style = style;
    const [seconds, ns] = divide(epoch);
    this.#epochSeconds = Number(seconds);
    this.#epochNs = Number(ns);
  }

  /** @param ns since the epoch given @returns the time and a space, or nothing */
  format(ns: number): string {
    if (this.#style === 'none') return '';
    const sum = ns + this.#epochNs;
    const second = Math.floor(sum / NS);
    return this.#formatParts(this.#epochSeconds + second, sum - second * NS);
  }

  /** As {@link format}, for times that a double cannot hold. @param ns since 1970 */
  formatExact(ns: bigint): string {
    if (this.#style === 'none') return '';
    const [seconds, rest] = divide(ns);
    if (this.#style === 'unix' && (seconds < 0n || seconds > BigInt(Number.MAX_SAFE_INTEGER))) return farUnix(ns);
    return this.#formatParts(Number(seconds), Number(rest));
  }

  #formatParts(seconds: number, ns: number): string {
    if (seconds < 0 && this.#style === 'unix') return farUnix(BigInt(seconds) * BigInt(NS) + BigInt(ns));
    if (seconds !== this.#second) {
      this.#second = seconds;
      this.#text = this.#formatSecond(seconds);
    }
    if (this.#text === undefined) return `${BEYOND} `;
    return `${this.#text}.${microseconds(Math.floor(ns / 1000))} `;
  }

  /** Nothing where `Date` has no such second. */
  #formatSecond(seconds: number): string | undefined {
    if (this.#style === 'unix') return String(seconds);
    const date = new Date(seconds * 1000);
    if (Number.isNaN(date.getTime())) return undefined;
    const two = (value: number) => String(value).padStart(2, '0');
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
    if (this.#style === 'clock') return clock;
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock}`;
  }
}

/** ns as seconds and what is left, which is never negative. */
function divide(ns: bigint): [seconds: bigint, rest: bigint] {
  const rest = ((ns % BigInt(NS)) + BigInt(NS)) % BigInt(NS);
  return [(ns - rest) / BigInt(NS), rest];
}

/** Seconds since 1970 with one sign for the whole of it: 500 ms before 1970 is -0.500000. */
function farUnix(ns: bigint): string {
  const micros = (ns - (((ns % 1000n) + 1000n) % 1000n)) / 1000n;
  const size = micros < 0n ? -micros : micros;
  return `${micros < 0n ? '-' : ''}${size / 1_000_000n}.${microseconds(Number(size % 1_000_000n))} `;
}

function microseconds(value: number): string {
  return String(value).padStart(6, '0');
}
