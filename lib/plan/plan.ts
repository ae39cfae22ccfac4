import { onAbort } from '../errors/abort.js';
import { CaptureError, wrapNative } from '../errors/errors.js';
import type { ErrorCode } from '../generated/errors.js';
import type { BackendName, OpenOptions } from '../generated/options.js';
import { BACKENDS } from '../generated/schema.js';
import type { CaptureMode, FilterPlacement, TimestampSource } from '../generated/vocabulary.js';
import { addon, type NativeInfo, type NativeSession, type Purpose } from '../native/native.js';
import { flatten, type OptionValue, type Settings, validate, wantsFallback } from '../uri/options.js';
import { type ParsedUri, RESERVED, schemaOf } from '../uri/uri.js';
import { nearestInterface } from './devices.js';

/** A method that was considered. */
export interface Candidate {
  /** The method, as in a URI's scheme; `rpcap` is one that this version knows of, but does not have. */
  readonly backend: BackendName | 'rpcap';
  /** Whether it is the one that captures. */
  readonly chosen: boolean;
  /** The error code of what it failed with; undefined where it was not tried. */
  readonly code?: ErrorCode;
  /** Why it was not chosen. */
  readonly reason?: string;
  /** What would make it work. */
  readonly fix?: string;
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

/** A plan that may not be feasible: `error` says why `open()` would fail. */
export interface Explanation extends Omit<Plan, 'backend'> {
  /** The method that would capture, or null where none can. */
  readonly backend: BackendName | null;
  /** What `open()` would fail with, or null. */
  readonly error: CaptureError | null;
}

/** What a host can do with one method. */
export interface ProbeResult {
  /** The method, as in a URI's scheme. */
  readonly backend: BackendName;
  /** Its name for people. */
  readonly title: string;
  /** Whether this host can capture with it. */
  readonly available: boolean;
  /** The error code of what is in the way. */
  readonly code?: ErrorCode;
  /** What is in the way. */
  readonly reason?: string;
  /** What would mend it. */
  readonly hint?: string;
  /** Version or feature found. */
  readonly detail: string;
}

/** What `auto:` tries, best first. */
const AUTO = BACKENDS.filter(({ auto }) => auto !== undefined)
  .sort((a, b) => a.auto! - b.auto!)
  .map(({ name }) => name);

/** The methods that a URI may lead to, best first. */
function candidatesFor(parsed: ParsedUri, options: OpenOptions): Candidate['backend'][] {
  const wants = wantsFallback(parsed, options);
  if (parsed.scheme === 'auto') return AUTO;
  if (!wants) return [parsed.scheme];
  const reserved = Object.hasOwn(RESERVED, parsed.scheme)
    ? RESERVED[parsed.scheme as keyof typeof RESERVED]
    : undefined;
  return [parsed.scheme, ...(reserved?.fallback ?? schemaOf(parsed.scheme)?.fallback ?? [])];
}

/**
 * Follows the candidates to the first that opens. Every rejection is kept with its reason. When the signal aborts it
 * rejects with the signal's reason, once nothing is left of what was being opened.
 */
export async function follow(
  parsed: ParsedUri,
  options: OpenOptions,
  purpose: Purpose,
  signal: AbortSignal | undefined,
): Promise<{ session: NativeSession; info: NativeInfo; plan: Plan }> {
  const names = candidatesFor(parsed, options);
  const candidates: Candidate[] = [];
  // Checked first, so that a misspelt option is an error whichever method is chosen in the end.
  const primary = names[0]!;
  validate(parsed, options, primary);
  let failure: CaptureError | undefined;
  for (const backend of names) {
    try {
      const settings = validate(parsed, options, backend, primary);
      const session = await openNative(parsed, backend, settings, purpose, signal);
      const info = session.info();
      candidates.push({ backend, chosen: true });
      const rest = names
        .slice(candidates.length)
        .map((name) => ({ backend: name, chosen: false, reason: `${backend} works` }));
      // What is reserved has not opened.
      const plan = describe(parsed, backend as BackendName, settings, info, [...candidates, ...rest]);
      return { session, info, plan };
    } catch (error) {
      const wrapped = await explainMissing(wrapNative(error, backend, parsed.uri), parsed);
      if (!(wrapped instanceof CaptureError)) throw wrapped;
      failure ??= wrapped;
      candidates.push({ backend, chosen: false, code: wrapped.code, reason: wrapped.message, fix: wrapped.hint });
      // A missing right, interface or a bad option would be hidden by going on.
      if (wrapped.code !== 'RINGTAP_BACKEND_MISSING') {
        // But eth0@1 and eth0,eth1 are names to PF_RING alone: what is wrong is that it is missing.
        if (backend === primary || !/[@:,]/.test(parsed.target)) failure = wrapped;
        break;
      }
    }
  }
  rejected.set(failure!, candidates);
  throw failure;
}

/** The candidates behind a failure of follow(), for explain(). */
export const rejected = new WeakMap<Error, readonly Candidate[]>();

let lastOpening = 0;

async function openNative(
  parsed: ParsedUri,
  backend: string,
  settings: Settings,
  purpose: Purpose,
  signal: AbortSignal | undefined,
): Promise<NativeSession> {
  const schema = schemaOf(backend);
  if (schema === undefined || !schema.platforms.includes(process.platform)) {
    const where =
      schema === undefined
        ? 'this version of ringtap does not have it yet'
        : `it does not exist on ${process.platform}`;
    throw new CaptureError('RINGTAP_BACKEND_MISSING', `${parsed.uri}: ${backend}: ${where}`, {
      backend,
      uri: parsed.uri,
      hint: schema === undefined ? 'Until then: ssh HOST tcpdump -U -w - | ringtap read -' : undefined,
    });
  }
  const number = ++lastOpening;
  const opening = addon().open({
    number,
    backend,
    uri: parsed.uri,
    target: parsed.target,
    options: settings.values,
    filter: flatten(settings.filter),
    purpose,
    batchSize: Number(settings.values.batchSize ?? 256),
    external: process.env.RINGTAP_NO_EXTERNAL_BUFFERS !== '1',
  });
  if (signal === undefined) return opening;
  const forget = onAbort(signal, () => addon().cancel(number));
  try {
    const session = await opening;
    if (!signal.aborted) return session;
    await session.close(); // it had opened before it heard of it
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    forget();
  }
  throw signal.reason;
}

async function explainMissing(error: unknown, parsed: ParsedUri): Promise<unknown> {
  if (!(error instanceof CaptureError) || error.code !== 'RINGTAP_NO_INTERFACE') return error;
  const near = await nearestInterface(parsed.target);
  if (near === undefined) return error;
  const { backend, uri, syscall, errno } = error;
  return new CaptureError(error.code, error.message, {
    backend,
    uri,
    syscall,
    errno,
    hint: `Did you mean "${near}"? ${error.hint}`,
  });
}

function describe(
  parsed: ParsedUri,
  backend: BackendName,
  settings: Settings,
  info: NativeInfo,
  candidates: readonly Candidate[],
): Plan {
  const notes = [...info.notes];
  for (const what of settings.ignored) notes.push(`${backend} ${what}: ignored`);
  if (!info.external) notes.push('without external buffers each batch is copied for JavaScript');
  return Object.freeze({
    uri: parsed.uri,
    backend,
    target: parsed.target,
    candidates,
    mode: info.mode,
    filter: info.filterWhere,
    filterReason: info.filterReason,
    timestamp: info.timestamp,
    linkType: info.linkType,
    zeroCopy: info.external && info.mode !== 'copy',
    takesTraffic: schemaOf(backend)?.takesTraffic ?? false,
    maxLeases: info.maxLeases,
    options: settings.values,
    notes,
  });
}

/** What this host can do, method by method, and why not. Opens nothing. */
export async function probe(): Promise<ProbeResult[]> {
  const probing = BACKENDS.map(async ({ name, title, platforms }): Promise<ProbeResult> => {
    if (!platforms.includes(process.platform)) {
      return {
        backend: name,
        title,
        available: false,
        code: 'RINGTAP_BACKEND_MISSING',
        reason: `${name} does not exist on ${process.platform}`,
        detail: '',
      };
    }
    const { available, detail, error } = await addon().probe(name);
    if (error === undefined) return { backend: name, title, available, detail };
    const { code, message, hint } = wrapNative(error, name) as CaptureError;
    return { backend: name, title, available, code, reason: message, hint, detail };
  });
  return Promise.all(probing);
}
