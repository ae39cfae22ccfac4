// Another filter, while the capture runs.
import type { NativeSession } from '../native/native.js';
import type { Control } from './control.js';
import { filterPayload, Type } from './messages.js';
import { conjunction } from './own-traffic.js';

type Filter = string | Uint32Array | undefined;

/**
 * Lets `session.changeFilter()` ask the daemon; one change after the other.
 * @param own what is never to be captured, as the program that rejects it
 */
export function allowChanges(control: Control, session: NativeSession, own: Uint32Array): void {
  const weak = new WeakRef(session);
  let last: Promise<void> = Promise.resolve();
  const value = (filter: Filter): Promise<void> => {
    const change = last.then(() => changed(control, weak, filter, own));
    last = change.catch(() => {});
    return change;
  };
  Object.defineProperty(session, 'changeFilter', { value });
}

async function changed(
  control: Control,
  weak: WeakRef<NativeSession>,
  filter: Filter,
  own: Uint32Array,
): Promise<void> {
  const program = await weak.deref()?.remoteCompile(filter);
  if (program === undefined) return;
  // WHY: of what comes meanwhile nobody knows which of the two filters has let it pass; none of it is to be lost here.
  weak.deref()?.remoteLook(false);
  try {
    await control.request(Type.filter, filterPayload(conjunction(own, program)));
  } catch (error) {
    weak.deref()?.remoteLook(true);
    throw error;
  }
  weak.deref()?.remoteAdopt();
}
