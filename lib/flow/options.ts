import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { PROTOCOLS, type ProtocolName } from '../generated/events.js';

/** How flows are told from each other, and when they end. */
export interface FlowMeterOptions {
  /**
   * A flow that goes on is told in parts, so long each, in ms; 60000 by default. Each part has what came since the last one.
   */
  readonly activeTimeoutMs?: number | undefined;
  /** A flow of which nothing comes for so long has ended, in ms; 15000 by default. */
  readonly idleTimeoutMs?: number | undefined;
  /** How long a TCP flow that was closed takes stragglers, in ms; 2000 by default. */
  readonly lingerMs?: number | undefined;
  /**
   * The most flows that are open at once; 1048576 by default, at 225 bytes each. One more, and the one that was idle longest
   * ends, with a record.
   */
  readonly maxFlows?: number | undefined;
  /**
   * The most records that wait to be drained; 4194304 by default, at 188 bytes each. One more is lost, which
   * `stats().lost` counts: those that wait stay.
   */
  readonly maxRecords?: number | undefined;
  /**
   * How many bytes of the first payload of each end are kept, for `FlowBatch.payload()`: 0 by default, 255 at most. Each
   * takes 2 × (1 + `payloadBytes`) bytes more for a flow, and for a record.
   */
  readonly payloadBytes?: number | undefined;
  /** Whether packets in VXLAN, GENEVE, GRE, ERSPAN, TZSP, MPLS and GTP-U are metered, instead of those around them; they are. */
  readonly decap?: boolean | undefined;
  /** What tells flows apart besides addresses, ports and protocol; all of it by default. */
  readonly key?: { readonly vlan?: boolean | undefined; readonly tunnel?: boolean | undefined } | undefined;
  /**
   * Protocols whose messages become events, which {@link FlowMeter.events} gives: `true` is all of them, a list some. None by
   * default, and then they cost nothing.
   */
  readonly protocols?: boolean | readonly ProtocolName[] | undefined;
  /** Whether events carry the Community ID of their flow, which joins them with what other tools say of it; they do not. */
  readonly communityId?: boolean | undefined;
  /**
   * Looks at one of so many packets, or at all packets of one of so many flows; at all by default. `interfaces` has packets of
   * some interfaces of a trace, by their numbers in `batch.queue`, looked at more or less often than `packets` says:
   * `{ packets: 100, interfaces: { 0: 1 } }` is all of interface 0, and a hundredth of the others. Up to 16 different rates;
   * what is seen at different ones is in flows of its own, so that each record has one factor.
   */
  readonly sampling?:
    | {
        readonly packets?: number | undefined;
        readonly flows?: number | undefined;
        readonly interfaces?: Readonly<Record<number, number>> | undefined;
      }
    | undefined;
}

/** As the addon takes them. */
export interface CheckedOptions {
  activeTimeoutMs: number;
  idleTimeoutMs: number;
  lingerMs: number;
  maxFlows: number;
  maxRecords: number;
  payloadBytes: number;
  decap: boolean;
  vlan: boolean;
  tunnel: boolean;
  samplePackets: number;
  sampleFlows: number;
  /** Pairs: an interface, and its one packet of so many. */
  sampleInterfaces: Uint16Array;
  /** Bit i: PROTOCOLS[i]. */
  protocols: number;
  communityId: boolean;
}

const NAMES = [
  'activeTimeoutMs',
  'idleTimeoutMs',
  'lingerMs',
  'maxFlows',
  'maxRecords',
  'payloadBytes',
  'decap',
  'key',
  'sampling',
  'protocols',
  'communityId',
];
/** A month: beyond, somebody meant something else. */
const LONGEST_MS = 31 * 86_400_000;
const MOST_FLOWS = 1 << 28;
const MOST_PAYLOAD = 255;
const MOST_SAMPLING = 65_535;
/** `batch.queue` has 16 bits. */
const MOST_INTERFACE = 65_535;
/** A flow's key has four bits for its rate. */
const MOST_RATES = 16;
/** Of protocols in a list. */
const MOST_NAMES = 64;

const HINT = 'docs/flows.md in the package tells what a FlowMeter takes, docs/api/ringtap-flow.md has all of it.';

/** Each looked at once: they may be anything. */
export function checked(options: FlowMeterOptions): CheckedOptions {
  const own = ownOf('options', options, NAMES);
  const key = ownOf('key', own.key ?? {}, ['vlan', 'tunnel']);
  const sampling = ownOf('sampling', own.sampling ?? {}, ['packets', 'flows', 'interfaces']);
  const sampleInterfaces = ratesOf(sampling.interfaces ?? {}, sampling.packets ?? 1);
  if (sampleInterfaces.length > 0 && (sampling.flows ?? 1) !== 1) {
    throw bad('sampling takes interfaces or flows, not both', 'Say one of them.');
  }
  if ((sampling.packets ?? 1) !== 1 && (sampling.flows ?? 1) !== 1) {
    throw bad('sampling takes packets or flows, not both', 'Say one of them.');
  }
  return {
    activeTimeoutMs: whole('activeTimeoutMs', own.activeTimeoutMs ?? 60_000, 1, LONGEST_MS),
    idleTimeoutMs: whole('idleTimeoutMs', own.idleTimeoutMs ?? 15_000, 1, LONGEST_MS),
    lingerMs: whole('lingerMs', own.lingerMs ?? 2000, 0, LONGEST_MS),
    maxFlows: whole('maxFlows', own.maxFlows ?? 1 << 20, 1, MOST_FLOWS),
    maxRecords: whole('maxRecords', own.maxRecords ?? 1 << 22, 1, MOST_FLOWS),
    payloadBytes: whole('payloadBytes', own.payloadBytes ?? 0, 0, MOST_PAYLOAD),
    decap: yesOrNo('decap', own.decap ?? true),
    vlan: yesOrNo('key.vlan', key.vlan ?? true),
    tunnel: yesOrNo('key.tunnel', key.tunnel ?? true),
    samplePackets: whole('sampling.packets', sampling.packets ?? 1, 1, MOST_SAMPLING),
    sampleFlows: whole('sampling.flows', sampling.flows ?? 1, 1, MOST_SAMPLING),
    sampleInterfaces,
    protocols: setOf(own.protocols ?? false),
    communityId: yesOrNo('communityId', own.communityId ?? false),
  };
}

/** Interfaces and their rates, one after the other. */
function ratesOf(given: unknown, others: unknown): Uint16Array {
  const own = copyOf('sampling.interfaces', given);
  if (own === undefined) {
    throw bad(`sampling.interfaces: ${show(given)} is none`, 'An object such as { 0: 1, 3: 1000 }.');
  }
  const rates = Object.entries(own).map(([name, rate]) => {
    const number = /^(0|[1-9]\d{0,4})$/.test(name) ? Number(name) : Number.NaN;
    if (!(number <= MOST_INTERFACE)) {
      const hint = 'Interfaces of a trace have numbers from 0 on: batch.queue has them.';
      throw bad(`FlowMeter: there is no interface ${show(name)} in sampling.interfaces`, hint);
    }
    return [number, whole(`sampling.interfaces[${name}]`, rate, 1, MOST_SAMPLING)];
  });
  if (new Set([others, ...rates.map(([, rate]) => rate)]).size > MOST_RATES) {
    throw bad(`FlowMeter: sampling has more than ${MOST_RATES} different rates`, 'Give interfaces the same ones.');
  }
  return Uint16Array.from(rates.flat());
}

/** Protocols as bits. */
function setOf(given: unknown): number {
  if (typeof given === 'boolean') return given ? 2 ** PROTOCOLS.length - 1 : 0;
  const names = listOf(given);
  const hint = `There is: ${PROTOCOLS.join(', ')}`;
  if (names === undefined) {
    const what = isList(given) ? `one of ${given.length}` : show(given);
    throw bad(`FlowMeter: protocols must be true, false or a list of 1 to ${MOST_NAMES} names, not ${what}`, hint);
  }
  return names.reduce((set: number, name) => {
    const i = (PROTOCOLS as readonly unknown[]).indexOf(name);
    if (i < 0) throw bad(`FlowMeter: there is no protocol ${show(name)}`, hint);
    return set | (1 << i);
  }, 0);
}

function isList(given: unknown): given is unknown[] {
  try {
    return Array.isArray(given);
  } catch {
    return false; // it cannot be looked at
  }
}

function listOf(given: unknown): unknown[] | undefined {
  try {
    // WHY not spread: its iterator may have no end.
    const length = Array.isArray(given) ? given.length : Number.NaN;
    return length >= 1 && length <= MOST_NAMES ? Array.from({ length }, (_, i) => (given as unknown[])[i]) : undefined;
  } catch {
    return undefined; // it cannot be looked at
  }
}

function ownOf(what: string, given: unknown, names: readonly string[]): Record<string, unknown> {
  const own = copyOf(what, given);
  if (own === undefined) throw bad(`${what}: ${show(given)} are no options`, `An object with ${names.join(', ')}.`);
  for (const name of Object.keys(own)) {
    if (names.includes(name)) continue;
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `FlowMeter: there is no ${show(name)} in ${what}`, {
      hint: `There is: ${names.join(', ')}`,
    });
  }
  return own;
}

function copyOf(what: string, given: unknown): Record<string, unknown> | undefined {
  try {
    // A list would pass for options that leave everything out.
    if (typeof given !== 'object' || given === null || Symbol.iterator in given) return undefined;
    return Object.assign(Object.create(null), given);
  } catch (cause) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `FlowMeter: ${what} cannot be read`, { hint: HINT, cause });
  }
}

function whole(name: string, value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw bad(`FlowMeter: ${name} must be a whole number from ${least} to ${most}, not ${show(value)}`);
}

function yesOrNo(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw bad(`FlowMeter: ${name} must be true or false, not ${show(value)}`);
}

function bad(message: string, hint = HINT): CaptureError {
  return new CaptureError('RINGTAP_BAD_OPTION', message, { hint });
}
