import { Batch } from '../capture/batch.js';
import { Capture } from '../capture/capture.js';
import { CaptureError, warn } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { linkTypeName } from '../generated/link_types.js';
import type { NativeInterface } from '../native/native.js';
import { ownOptions } from '../uri/options.js';
import { describeCapture, isText } from './describe.js';

/** What the packets of a trace come from: an interface block of pcapng. Texts have up to 4096 bytes. */
export interface WriterInterface {
  /** Such as `eth0`. Default: what `capture` captures from. */
  name?: string | undefined;
  /** What it is, for people. Default: how `capture` captures. */
  description?: string | undefined;
  /** The filter that was in force, as text. */
  filter?: string | undefined;
  /** Speed of the link in bits a second. Default: what the system says of that of `capture`. */
  bitsPerSecond?: number | undefined;
  /** LINKTYPE_ value of its packets. Default: that of `capture`, or else of its first batch. */
  linkType?: number | undefined;
  /**
   * Whose batches are of this interface: `write()` knows them then, and files end with its counts. The trace describes it as
   * its plan does, but for what is given.
   */
  capture?: Capture | undefined;
}

const TEXTS = ['name', 'description', 'filter'] as const;
/** What only pcapng has a place for. */
const TOLD: readonly string[] = [...TEXTS, 'bitsPerSecond'];
const NAMES: readonly string[] = [...TOLD, 'linkType', 'capture'];
const MOST_TEXT_BYTES = 4096;
const MOST_INTERFACES = 64;
const MOST_LINK_TYPE = 65_535;

/** What the packets of one writer come from. */
export class Interfaces {
  readonly natives: readonly NativeInterface[];
  readonly captures: readonly (Capture | undefined)[];
  readonly #uri: string;
  readonly #isPcap: boolean;
  readonly #isPcapng: boolean;
  #linkType: number | undefined;
  #isWarned = false;

  private constructor(uri: string, format: string, read: readonly ReadInterface[]) {
    this.#uri = uri;
    this.#isPcap = format === 'pcap';
    this.#isPcapng = format === 'pcapng';
    this.natives = read.map(({ native }) => native);
    this.captures = read.map(({ capture }) => capture);
  }

  /** `interface` and `interfaces` of a writer; one where neither is given. */
  static read(uri: string, format: 'pcap' | 'pcapng' | 'erf', one: unknown, many: unknown): Interfaces {
    const bad = (what: string) => new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option ${what}`, { uri });
    const isTold = format === 'pcapng';
    if (many === undefined) {
      return new Interfaces(uri, format, [
        one === undefined ? nothing() : readInterface(uri, 'interface', isTold, one),
      ]);
    }
    if (one !== undefined) throw bad('interface is one, and interfaces are several: give one of the two');
    const list = listOf(many);
    if (list === undefined || list.length < 1 || list.length > MOST_INTERFACES) {
      throw bad(`interfaces must be a list of 1 to ${MOST_INTERFACES}, not ${show(many)}`);
    }
    const read = list.map((value, i) => readInterface(uri, `interfaces[${i}]`, isTold, value));
    const captures = read.flatMap(({ capture }) => capture ?? []);
    if (new Set(captures).size < captures.length) throw bad('interfaces has one capture twice');
    return new Interfaces(uri, format, read);
  }

  get count(): number {
    return this.natives.length;
  }

  /**
   * Those that are known must be one where the file is pcap. `given` is that of each interface that has none of its own.
   * @returns what packets are of, as far as that is known
   */
  checkLinkTypes(given: number | undefined): number | undefined {
    for (const native of this.natives) native.linkType ??= given;
    const known = this.natives.flatMap(({ linkType }) => linkType ?? []);
    if (given !== undefined) known.unshift(given);
    const [first] = known;
    const other = known.find((linkType) => linkType !== first);
    if (this.#isPcap && other !== undefined) {
      const what = `packets of ${linkTypeName(first!)} and of ${linkTypeName(other)} cannot go into one pcap file`;
      throw new CaptureError('RINGTAP_BAD_OPTION', `${this.#uri}: ${what}`, {
        uri: this.#uri,
        hint: 'Write pcapng:, which holds several link types, or a file for each.',
      });
    }
    for (const linkType of known) this.see(linkType);
    return first;
  }

  /** Packets of this link type go into the file: others than before are not for every reader. */
  see(linkType: number): void {
    this.#linkType ??= linkType;
    if (linkType === this.#linkType || this.#isWarned || !this.#isPcapng) return;
    this.#isWarned = true;
    const what = `packets of ${linkTypeName(this.#linkType)} and of ${linkTypeName(linkType)} in one trace`;
    warn('RINGTAP_LINK_TYPES', `${this.#uri}: ${what}: Wireshark reads it, but libpcap, and so tcpdump, does not`);
  }

  /** Which of them a batch is of. */
  of(batch: Batch, given: unknown): number {
    if (given !== undefined) {
      if (Number.isInteger(given) && (given as number) >= 0 && (given as number) < this.count) return given as number;
      throw this.#bad(
        `write(): interface is ${show(given)}, but the writer has ${this.count}, the first of which is 0`,
      );
    }
    if (this.count === 1) return 0;
    const owner = Batch.lenderOf(batch)?.owner;
    const found = owner === undefined ? -1 : this.captures.indexOf(owner as Capture);
    if (found >= 0) return found;
    throw this.#bad(
      'write(): the batch is of none of the captures that interfaces names',
      'Say which it is of: write(batch, { interface: 0 }).',
    );
  }

  #bad(what: string, hint?: string): CaptureError {
    return new CaptureError('RINGTAP_BAD_OPTION', `${this.#uri}: ${what}`, { uri: this.#uri, hint });
  }
}

interface ReadInterface {
  readonly native: NativeInterface;
  readonly capture: Capture | undefined;
}

/** WHY each by name: the addon must not find what somebody has put into Object.prototype. */
const nothing = (): ReadInterface => ({
  native: { name: undefined, description: undefined, filter: undefined, bitsPerSecond: undefined, linkType: undefined },
  capture: undefined,
});

function listOf(value: unknown): readonly unknown[] | undefined {
  try {
    return Array.isArray(value) && value.length <= MOST_INTERFACES ? Array.from(value) : undefined;
  } catch {
    return undefined; // it throws when it is looked at
  }
}

function readInterface(uri: string, option: string, isTold: boolean, value: unknown): ReadInterface {
  const own = ownOptions({ uri }, value, `option ${option} is an object { ${NAMES.join(', ')} }`);
  const bad = (what: string, hint?: string) =>
    new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option ${option}${what}`, { uri, hint });
  for (const name of Object.keys(own)) {
    if (!isTold && TOLD.includes(name) && own[name] !== undefined) {
      throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: no place for what packets come from but in pcapng`, {
        uri,
        hint: `Write pcapng:, or leave out ${option}.${name}.`,
      });
    }
    if (NAMES.includes(name)) continue;
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `${uri}: ${option} has no option "${name}"`, {
      uri,
      hint: `Options of ${option}: ${NAMES.join(', ')}`,
    });
  }
  const text = (name: string): string | undefined => {
    const value = own[name];
    if (value === undefined || isText(value, MOST_TEXT_BYTES)) return value;
    throw bad(`.${name} must be text of 1 to ${MOST_TEXT_BYTES} bytes, not ${show(value)}`);
  };
  const whole = (name: string, least: number, most: number): number | undefined => {
    const value = own[name];
    if (value === undefined || (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)) {
      return value as number | undefined;
    }
    const range = most === Number.MAX_SAFE_INTEGER ? `above ${least - 1}` : `from ${least} to ${most}`;
    throw bad(`.${name} must be a whole number ${range}, not ${show(value)}`);
  };
  const { capture } = own;
  if (capture !== undefined && !(capture instanceof Capture)) {
    throw bad(`.capture must be a capture that was opened, not ${show(capture)}`);
  }
  const told = capture === undefined || !isTold ? undefined : describeCapture(capture.plan);
  const native: NativeInterface = {
    name: text('name') ?? told?.name,
    description: text('description') ?? told?.description,
    filter: text('filter') ?? told?.filter,
    bitsPerSecond: whole('bitsPerSecond', 1, Number.MAX_SAFE_INTEGER) ?? told?.bitsPerSecond,
    linkType: whole('linkType', 0, MOST_LINK_TYPE) ?? capture?.linkType,
  };
  return { native, capture };
}
