// One listener for each AbortSignal, however many captures, openings and calls heed it.

/** How long a call may wait. */
export interface WaitOptions {
  /** Ends the waiting when it aborts: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

interface Heeding {
  readonly listeners: Set<() => void>;
  readonly tell: () => void;
}

const heeded = new WeakMap<AbortSignal, Heeding>();

/**
 * Calls `listener` when the signal aborts; at once, if it has. WHY not addEventListener: a signal may well end a
 * hundred captures, and Node warns of a leak at eleven listeners.
 * @returns how to undo it; the last one takes the listener off the signal
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener();
    return () => {};
  }
  const heeding = heeded.get(signal) ?? heed(signal);
  heeding.listeners.add(listener);
  return () => {
    if (!heeding.listeners.delete(listener) || heeding.listeners.size > 0) return;
    signal.removeEventListener('abort', heeding.tell);
    if (heeded.get(signal) === heeding) heeded.delete(signal);
  };
}

function heed(signal: AbortSignal): Heeding {
  const listeners = new Set<() => void>();
  const tell = () => {
    for (const listener of [...listeners]) if (listeners.has(listener)) listener();
  };
  const heeding = { listeners, tell };
  heeded.set(signal, heeding);
  signal.addEventListener('abort', tell, { once: true });
  return heeding;
}

/** Resolves after so long, or when the signal aborts: whoever asks looks at it then. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return new Promise((resolve) => setTimeout(resolve, ms));
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      forget();
      resolve();
    };
    const timer = setTimeout(done, ms);
    // It may call back at once.
    let forget = () => {};
    forget = onAbort(signal, done);
  });
}
