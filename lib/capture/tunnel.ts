import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { TunnelKind } from '../generated/options.js';
import type { Batch } from './batch.js';

/**
 * Where things stand among the words that `batch.tunnel` has for each packet. `about` is the kind in its lowest eight bits
 * (1 vxlan, 2 geneve, 3 gre, 4 erspan, 5 tzsp, 6 mpls, 7 gtp-u; 0 none), the depth in the next four, then a bit each for: it has an
 * `id`, the source is IPv6, it has a time, the mirror cut the packet; and in its upper half the bytes of outer headers.
 * @example
 * const { tunnel, length } = batch;
 * for (let i = 0; i < length; i++) {
 *   const at = i * TunnelWords.perPacket;
 *   if ((tunnel[at]! & 0xff) === 1) console.log('VNI', tunnel[at + TunnelWords.id]!);
 * }
 * console.log(tunnel.length / TunnelWords.perPacket, 'rows for', length, 'packets');
 */
export const TunnelWords = {
  /** Kind, depth, bits, and bytes of outer headers. */
  about: 0,
  /** VNI, session, key, TEID or label. */
  id: 1,
  /** The first of four words: the address that the tunnel comes from, IPv4 in the first one. */
  source: 2,
  /** The first of two words: ns by the mirror's clock, the lower word first. */
  time: 6,
  /** Words of a packet. */
  perPacket: 8,
} as const;

/** In the order of their numbers, from 1 on; native/core/tunnel.h has the same one. */
const KINDS: readonly TunnelKind[] = ['vxlan', 'geneve', 'gre', 'erspan', 'tzsp', 'mpls', 'gtp-u'];

/** The tunnel that a packet came out of: the innermost one of those that were opened. */
export interface Tunnel {
  /** What kind of tunnel. */
  readonly kind: TunnelKind;
  /** Its number: VNI (VXLAN, GENEVE), session (ERSPAN), key (GRE), TEID (GTP-U) or label (MPLS); undefined where it has none. */
  readonly id: number | undefined;
  /** The address that it comes from; undefined where there is none (MPLS over Ethernet). */
  readonly source: string | undefined;
  /** The number of tunnels that were opened, one in the other: 1 to 4, and one more behind a mirror. */
  readonly depth: number;
  /** Bytes of all outer headers: what was captured begins so far before the packet's offset. */
  readonly outerBytes: number;
  /**
   * ns by the clock of whoever mirrors (ERSPAN III, TZSP); undefined where nobody tells. What it counts from is the mirror's
   * own affair.
   */
  readonly timeNs: bigint | undefined;
  /** Whether the mirror says that it cut the packet (ERSPAN). */
  readonly cut: boolean;
}

/**
 * The tunnel that packet `i` of a batch came out of; undefined where it came out of none, or tunnels are not opened. Makes an
 * object: loops over many packets read `batch.tunnel`.
 * @param batch of a capture with `decap`, or of a mirror
 * @param i index of the packet
 * @throws CaptureError RINGTAP_BAD_OPTION where it is no batch, or no index; a packet beyond the end came out of no tunnel
 * @example
 * for (let i = 0; i < batch.length; i++) console.log(tunnelOf(batch, i)?.id);
 */
export function tunnelOf(batch: Batch, i: number): Tunnel | undefined {
  const { words, length } = lookedAt(batch);
  if (!Number.isSafeInteger(i) || i < 0) throw refused(`tunnelOf(): an index is a whole number from 0, not ${show(i)}`);
  const at = i * TunnelWords.perPacket;
  const about = i < length ? (words[at] ?? 0) : 0;
  const kind = KINDS[(about & 0xff) - 1];
  if (kind === undefined) return undefined;
  const source = words.subarray(at + TunnelWords.source, at + TunnelWords.source + 4);
  const time = at + TunnelWords.time;
  return {
    kind,
    id: about & (1 << 12) ? words[at + TunnelWords.id] : undefined,
    source: about & (1 << 13) ? address6(source) : address4(source[0]!),
    depth: (about >>> 8) & 15,
    outerBytes: about >>> 16,
    timeNs: about & (1 << 14) ? (BigInt(words[time + 1]!) << 32n) | BigInt(words[time]!) : undefined,
    cut: (about & (1 << 15)) !== 0,
  };
}

/** What is to be known of a batch, each looked at once: it may be anything. */
function lookedAt(batch: Batch): { readonly words: Uint32Array; readonly length: number } {
  try {
    const { tunnel: words, length } = batch;
    if (words instanceof Uint32Array && typeof length === 'number') return { words, length };
  } catch {
    // Said below.
  }
  throw refused(`tunnelOf() takes a batch, not ${show(batch)}`);
}

function refused(message: string): CaptureError {
  return new CaptureError('RINGTAP_BAD_OPTION', message, {
    hint: 'Write tunnelOf(batch, i), with i below batch.length.',
  });
}

function address4(word: number): string | undefined {
  return word === 0 ? undefined : [24, 16, 8, 0].map((shift) => (word >>> shift) & 0xff).join('.');
}

/** As RFC 5952 spells it. */
function address6(words: Uint32Array): string {
  const groups = [...words].flatMap((word) => [word >>> 16, word & 0xffff].map((group) => group.toString(16)));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
