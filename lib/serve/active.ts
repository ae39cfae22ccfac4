// Daemons connect, too: to a client that waits for them, again and again.
import type { Socket } from 'node:net';
import { pause } from '../errors/abort.js';
import { CaptureError, withoutUri } from '../errors/errors.js';
import { dial } from './dial.js';

/** After a failure, twice as long each time. */
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;
/** A conversation that was no longer is a failure, too: or two daemons in a loop would do nothing but connect. */
const SHORT_MS = 2000;

/** What became of a conversation. */
export type Outcome = 'parted' | 'lost';

export interface Calling {
  readonly host: string;
  readonly port: number;
  /** Has the conversation, and settles at its end. */
  converse(socket: Socket): Promise<Outcome>;
  /** Says what happened. */
  event(what: string): void;
}

/** Connects and converses until the client says that it wants no more, or the signal aborts. */
export async function call({ host, port, converse, event }: Calling, signal: AbortSignal): Promise<void> {
  let wait = 0;
  let told = '';
  while (!signal.aborted) {
    const began = performance.now();
    try {
      const outcome = await converse(await dial(host, port, signal));
      told = '';
      if (outcome === 'parted') return;
    } catch (error) {
      const what = wordsOf(error);
      if (what !== told && !signal.aborted) event(what); // not each time the same
      told = what;
    }
    const isShort = performance.now() - began < SHORT_MS || told !== '';
    wait = isShort ? Math.min(Math.max(2 * wait, FIRST_MS), LONGEST_MS) : 0;
    // WHY not all at once: a thousand daemons lose the same client at the same moment.
    if (wait > 0) await pause(wait * (0.75 + Math.random() / 2), signal);
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof CaptureError) return withoutUri(error.uri ?? '', error.message);
  return `cannot connect: ${error instanceof Error ? error.message : String(error)}`;
}
