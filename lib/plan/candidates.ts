import { CaptureError, wrapNative } from '../errors/errors.js';
import type { BackendName, MethodName } from '../generated/options.js';
import type { NativeInfo, NativeSession, Purpose } from '../native/native.js';
import type { Request } from '../uri/request.js';
import { schemaOf } from '../uri/uri.js';
import { nearestInterface } from './devices.js';
import { openSession } from './opening.js';
import { type Candidate, type Plan, planOf } from './plan.js';

/** What became of a request. */
export type Followed =
  | { readonly ok: true; readonly session: NativeSession; readonly info: NativeInfo; readonly plan: Plan }
  | { readonly ok: false; readonly error: CaptureError; readonly candidates: readonly Candidate[] };

/**
 * Follows the candidates to the first that opens. Every rejection is kept with its reason. When the signal aborts it
 * rejects with the signal's reason, once nothing is left of what was being opened.
 */
export async function follow(request: Request, purpose: Purpose): Promise<Followed> {
  request.signal?.throwIfAborted();
  const candidates: Candidate[] = [];
  let failure: CaptureError | undefined;
  for (const method of request.candidates) {
    try {
      const settings = request.settings(method);
      const session = await openSession(request, method, settings, purpose);
      const info = session.info();
      const backend = method as BackendName; // what is reserved has not opened
      const plan = planOf(request, backend, settings, info, [...candidates, ...chosen(request.candidates, method)]);
      return { ok: true, session, info, plan };
    } catch (error) {
      const rejection = await withNearest(wrapNative(error, method, request.uri), request.target);
      if (!(rejection instanceof CaptureError)) throw rejection;
      const { code, message: reason, hint } = rejection;
      candidates.push({ backend: method, chosen: false, code, reason, hint });
      failure ??= rejection;
      // A missing right, interface or a bad option would be hidden by going on.
      if (code === 'RINGTAP_BACKEND_MISSING') continue;
      // But where only the method asked for reads such targets, what is wrong is that it is missing.
      if (!isOwnTarget(request)) failure = rejection;
      break;
    }
  }
  return { ok: false, error: failure!, candidates };
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

/** Of an interface that does not exist: which one may have been meant. */
async function withNearest(error: unknown, target: string): Promise<unknown> {
  if (!(error instanceof CaptureError) || error.code !== 'RINGTAP_NO_INTERFACE') return error;
  const near = await nearestInterface(target);
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
