import type { ErrorCode } from '../generated/errors.js';
import type { BackendName, MethodName } from '../generated/options.js';
import type { CaptureMode, FilterPlacement, TimestampSource } from '../generated/vocabulary.js';
import type { NativeInfo } from '../native/native.js';
import type { Request } from '../uri/request.js';
import type { Settings } from '../uri/settings.js';
import { schemaOf } from '../uri/uri.js';
import type { OptionValue } from '../uri/values.js';

/** A method that was considered. */
export interface Candidate {
  /** The method, as in a URI's scheme. */
  readonly backend: MethodName;
  /** Whether it is the one that captures. */
  readonly chosen: boolean;
  /** The error code of what it failed with; undefined where it was not tried. */
  readonly code?: ErrorCode;
  /** Why it was not chosen. */
  readonly reason?: string;
  /** What would make it work. */
  readonly hint?: string;
}

/** How a capture is, or would be, done. */
export interface Plan {
  /** The URI as given. */
  readonly uri: string;
  /** The method chosen. */
  readonly backend: BackendName;
  /** What follows the scheme: an interface, a path … */
  readonly target: string;
  /** Every method considered, in order. */
  readonly candidates: readonly Candidate[];
  /** How the method runs. */
  readonly mode: CaptureMode;
  /** Where the filter runs; none without a filter. */
  readonly filter: FilterPlacement;
  /** Why there. */
  readonly filterReason: string;
  /** Whose clock stamps packets. */
  readonly timestamp: TimestampSource;
  /** LINKTYPE_ value. */
  readonly linkType: number;
  /** The most bytes of a packet that batches have: that of the capture, or what a trace says of itself. */
  readonly snaplen: number;
  /** Whether batches show the capture method's own memory, without a copy made for JavaScript. */
  readonly zeroCopy: boolean;
  /** Whether packets captured are taken away from the host's network stack. */
  readonly takesTraffic: boolean;
  /** Batches that may be held at once, the current one included. */
  readonly maxLeases: number;
  /** Options in force, defaults included. */
  readonly options: Readonly<Record<string, OptionValue>>;
  /** What else is worth knowing: reduced function, sizes chosen, options ignored. */
  readonly notes: readonly string[];
}

/** The plan of what was opened. */
export function planOf(
  { uri, target }: Pick<Request, 'uri' | 'target'>,
  backend: BackendName,
  settings: Settings,
  info: NativeInfo,
  candidates: readonly Candidate[],
): Plan {
  const notes = [...info.notes];
  for (const what of settings.ignored) notes.push(`${backend} ${what}: ignored`);
  if (!info.external) notes.push('without external buffers each batch is copied for JavaScript');
  return Object.freeze({
    uri,
    backend,
    target,
    candidates,
    mode: info.mode,
    filter: info.filterWhere,
    filterReason: info.filterReason,
    timestamp: info.timestamp,
    linkType: info.linkType,
    snaplen: info.snaplen,
    zeroCopy: info.external && !info.copies,
    takesTraffic: schemaOf(backend)?.takesTraffic ?? false,
    maxLeases: info.maxLeases,
    options: settings.values,
    notes,
  });
}
