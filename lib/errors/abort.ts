// One listener for each AbortSignal, however many captures and openings heed it.

/** What a signal ends, and the listener that tells them. */
interface Heeders {
  readonly calls: Set<() => void>;
  readonly tell: () => void;
}

const heeders = new WeakMap<AbortSignal, Heeders>();

/**
 * Calls `listener` when the signal aborts; at once, if it has. WHY not addEventListener: a signal may well end a
 * hundred captures, and Node warns of a leak at eleven listeners.
 * @returns how to undo it. Once all is undone, nothing of ours is left on the signal.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener();
    return () => {};
  }
  const { calls, tell } = heeders.get(signal) ?? heed(signal);
  const call = () => listener(); // another one each time, whoever gives the same listener twice
  calls.add(call);
  return () => {
    if (!calls.delete(call) || calls.size > 0) return;
    signal.removeEventListener('abort', tell);
    heeders.delete(signal);
  };
}

/** Resolves after `ms`, or as soon as the signal aborts. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    let forget = () => {};
    const timer = setTimeout(() => {
      forget();
      resolve();
    }, ms);
    if (signal === undefined) return;
    forget = onAbort(signal, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function heed(signal: AbortSignal): Heeders {
  const calls = new Set<() => void>();
  const tell = () => {
    for (const call of [...calls]) call();
  };
  signal.addEventListener('abort', tell, { once: true });
  heeders.set(signal, { calls, tell });
  return { calls, tell };
}
