// One listener for each AbortSignal, however many captures and openings heed it.

const heeded = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `listener` when the signal aborts; at once, if it has. WHY not addEventListener: a signal may well end a
 * hundred captures, and Node warns of a leak at eleven listeners.
 * @returns how to undo it
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener();
    return () => {};
  }
  const listeners = heeded.get(signal) ?? heed(signal);
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function heed(signal: AbortSignal): Set<() => void> {
  const listeners = new Set<() => void>();
  heeded.set(signal, listeners);
  const tell = () => {
    for (const listener of [...listeners]) listener();
  };
  signal.addEventListener('abort', tell, { once: true });
  return listeners;
}
