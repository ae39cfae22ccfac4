import { CaptureError, type CaptureErrorFields, withoutUri, wrapNative } from '../errors/errors.js';
import type { BackendName, MethodName } from '../generated/options.js';
import type { NativeInfo, NativeSession, Purpose } from '../native/native.js';
import type { Request } from '../uri/request.js';
import type { Settings } from '../uri/settings.js';
import { schemaOf } from '../uri/uri.js';
import { devices, nearestDevice } from './devices.js';
import { openSession } from './opening.js';
import { type Candidate, type Plan, planOf } from './plan.js';

/** What became of a request. */
export type Followed<Session = NativeSession> =
  | {
      readonly ok: true;
      readonly session: Session;
      readonly info: NativeInfo;
      readonly plan: Plan;
      /** What was given but means nothing to the method chosen. */
      readonly ignored: readonly string[];
    }
  | { readonly ok: false; readonly error: CaptureError; readonly candidates: readonly Candidate[] };

/**
 * Follows the candidates to the first that opens. Every rejection is kept with its reason. When the signal aborts it
 * rejects with the signal's reason, once nothing is left of what was being opened.
 */
export function follow(request: Request, purpose: Purpose): Promise<Followed> {
  return followWith(request, (method, settings) => openSession(request, method, settings, purpose));
}

/** The same with another way to open a method. */
export async function followWith<Session extends { info(): NativeInfo }>(
  request: Request,
  open: (method: MethodName, settings: Settings) => Promise<Session>,
): Promise<Followed<Session>> {
  request.signal?.throwIfAborted();
  const candidates: Candidate[] = [];
  const rejections: CaptureError[] = [];
  for (const method of request.candidates) {
    try {
      const settings = request.settings(method);
      const session = await open(method, settings);
      const info = session.info();
      const backend = method as BackendName; // what is reserved has not opened
      const plan = planOf(request, backend, settings, info, [...candidates, ...chosen(request.candidates, method)]);
      return { ok: true, session, info, plan, ignored: settings.ignored };
    } catch (error) {
      const rejection = await withNearest(withUri(wrapNative(error, method, request.uri), request.uri), request.target);
      if (!(rejection instanceof CaptureError)) throw rejection;
      const { code, message: reason, hint } = rejection;
      candidates.push({ backend: method, chosen: false, code, reason, hint });
      rejections.push(rejection);
      // A missing right, interface or a bad option would be hidden by going on; but libpcap has devices of its own.
      const goesOn = code === 'RINGTAP_NO_INTERFACE' && request.scheme === 'auto';
      if (code !== 'RINGTAP_BACKEND_MISSING' && !goesOn) break;
    }
  }
  return { ok: false, error: withReasons(tellingOf(request, rejections), rejections), candidates };
}

/** The rejection that says what is in the way. */
function tellingOf(request: Request, rejections: readonly CaptureError[]): CaptureError {
  const first = rejections[0]!;
  // Where only the method asked for reads such targets, what is wrong is that it is missing.
  if (isOwnTarget(request)) return first;
  const others = rejections.filter(({ code }) => code !== 'RINGTAP_BACKEND_MISSING');
  return others.find(({ code }) => code !== 'RINGTAP_NO_INTERFACE') ?? others[0] ?? first;
}

/** With what kept the other methods from it. */
function withReasons(error: CaptureError, rejections: readonly CaptureError[]): CaptureError {
  if (error.code === 'RINGTAP_NO_INTERFACE') return error; // that it is no method's is all there is to say
  const others = rejections.filter((other) => other !== error && other.code !== 'RINGTAP_NO_INTERFACE');
  if (others.length === 0) return error;
  const reasons = others.map(({ backend, uri, message }) => `${backend}: ${withoutUri(uri ?? '', message)}`);
  return changed(error, { message: `${error.message} (${reasons.join('; ')})` });
}

function changed(error: CaptureError, changes: CaptureErrorFields & { readonly message?: string }): CaptureError {
  const { code, message, backend, uri, syscall, errno, hint, position, cause } = error;
  const fields = { backend, uri, syscall, errno, hint, position, cause, ...changes };
  return new CaptureError(code, changes.message ?? message, fields);
}

/** With the URI in front, as every message has it. What compiles filters does not know it. */
function withUri(error: unknown, uri: string): unknown {
  if (!(error instanceof CaptureError) || withoutUri(uri, error.message) !== error.message) return error;
  return error.code === 'RINGTAP_BAD_FILTER' ? changed(error, { message: `${uri}: ${error.message}` }) : error;
}

function isOwnTarget({ candidates: [asked], target }: Request): boolean {
  return [...(schemaOf(asked)?.ownTarget ?? '')].some((character) => target.includes(character));
}

/** The method that works, and those after it, which were not tried. */
function chosen(methods: readonly MethodName[], method: MethodName): Candidate[] {
  const rest = methods.slice(methods.indexOf(method) + 1);
  return [
    { backend: method, chosen: true },
    ...rest.map((backend) => ({ backend, chosen: false, reason: `${method} works` })),
  ];
}

/** Of an interface that does not exist: how else it can be opened, or which one may have been meant. */
async function withNearest(error: unknown, target: string): Promise<unknown> {
  if (!(error instanceof CaptureError) || error.code !== 'RINGTAP_NO_INTERFACE') return error;
  const all = await devices();
  const same = all.find(({ name, uris }) => name === target && uris.length > 0);
  if (same !== undefined) return changed(error, { hint: `Open it with ${same.uris.join(' or ')}.` });
  const near = nearestDevice(target, all);
  return near === undefined ? error : changed(error, { hint: `Did you mean "${near}"? ${error.hint}` });
}
