// Sources are looked at when a daemon starts: what its owner has mistyped he hears of then, and not its first client.
import { CaptureError } from '../errors/errors.js';
import { printable } from '../errors/printable.js';
import { explain } from '../plan/explain.js';
import { wordsOf } from './capturing.js';
import { isLive } from './offered.js';
import type { Settings } from './settings.js';

/** How long a source may take to say whether it can be opened. */
const CHECK_MS = 1000;
/** What no host makes right. */
const MISTYPED: readonly string[] = [
  ...[
    'RINGTAP_BAD_URI',
    'RINGTAP_UNKNOWN_SCHEME',
    'RINGTAP_BAD_OPTION',
    'RINGTAP_UNKNOWN_OPTION',
    'RINGTAP_BAD_FILTER',
  ],
];
/**
 * Looks at each of them. What is only not there now may be there when a client asks for it.
 * @param tell hears of those
 * @throws CaptureError of a URI that means nothing
 */
export async function checkSources(
  { sources, capture }: Pick<Settings, 'sources' | 'capture'>,
  tell: (what: string) => void,
): Promise<void> {
  for (const [name, uri] of sources) {
    const error = await faultOf(uri, isLive(uri) ? capture : {});
    if (error === undefined) continue;
    const what = `sources "${name}": ${wordsOf(error)}`;
    if (MISTYPED.includes(error.code)) {
      throw new CaptureError(error.code, `serve(): ${what}`, { hint: error.hint, cause: error });
    }
    tell(printable(`offered, and not to be opened now: ${what}`));
  }
}

/** Why it cannot be opened now. No traffic is touched. */
async function faultOf(uri: string, options: Settings['capture']): Promise<CaptureError | undefined> {
  // WHY no longer: a pipe that nobody writes to yet keeps nobody from being served.
  const signal = AbortSignal.timeout(CHECK_MS);
  try {
    const explained = await explain(uri, { ...options, signal });
    return explained.ok ? undefined : explained.error;
  } catch (error) {
    if (error instanceof CaptureError) return error;
    if (!signal.aborted) throw error;
    return new CaptureError('RINGTAP_SYSTEM', `nothing has come for ${CHECK_MS} ms`);
  }
}
