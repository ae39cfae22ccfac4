import type { CaptureError } from '../errors/errors.js';
import type { OptionsOf } from '../generated/options.js';
import { resolve } from '../uri/request.js';
import { follow } from './candidates.js';
import type { Candidate, Plan } from './plan.js';

/** What `open()` would do: follow a plan, or fail. */
export type Explanation =
  | {
      /** It can be opened. */
      readonly ok: true;
      /** How it would be captured, and why so. */
      readonly plan: Plan;
    }
  | {
      /** It cannot be opened. */
      readonly ok: false;
      /** What `open()` would fail with. */
      readonly error: CaptureError;
      /** Every method considered, each with the reason why it does not work. */
      readonly candidates: readonly Candidate[];
    };

/**
 * What `open()` would do, without capturing: the method, each rejected one with reason and hint, where the filter would
 * run, whose clock would stamp.
 * @param uri as {@link open} takes it
 * @param options as {@link open} takes them
 * @example
 * const explained = await explain('afxdp:eth0');
 * console.log(explained.ok ? explained.plan.mode : explained.error.hint);
 * @throws CaptureError only for a URI or option that means nothing (RINGTAP_BAD_URI, RINGTAP_UNKNOWN_SCHEME,
 * RINGTAP_UNKNOWN_OPTION, RINGTAP_BAD_OPTION); or the signal's reason when it aborts first
 */
export async function explain<Uri extends string>(uri: Uri, options?: OptionsOf<Uri>): Promise<Explanation> {
  const followed = await follow(resolve(uri, options), 'explain');
  if (!followed.ok) return followed;
  await followed.session.close();
  return { ok: true, plan: followed.plan };
}
