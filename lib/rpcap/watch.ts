// While a capture runs: the daemon's counters, and whether it is still there.
import { CaptureError, warn } from '../errors/errors.js';
import type { NativeSession } from '../native/native.js';
import type { OptionValue } from '../uri/values.js';
import type { Control } from './control.js';
import { type RemoteStats, readStats, STATS_BYTES, Type } from './messages.js';

/** After so long without one of the packets that the daemon sends, something is in their way. */
const BLOCKED_MS = 2000;
/** A daemon whose thread is gone goes on to answer: told by so many counts that stand still while packets come. */
const STALLED_COUNTS = 3;

/** Asks for the counters until the session is closed, or forgotten, or the daemon is gone. */
export function watch(control: Control, session: NativeSession, values: Readonly<Record<string, OptionValue>>): void {
  const weak = new WeakRef(session);
  const close = session.close.bind(session);
  const silence = new Silence(String(values.uri));
  const ask = () => {
    const there = weak.deref();
    if (there === undefined) return end();
    if (control.isWaiting) return;
    control.request(Type.stats).then(
      (payload) => {
        if (payload.length < STATS_BYTES) {
          control.fail(
            'RINGTAP_REMOTE_PROTOCOL',
            `the daemon's answer to STATS has ${payload.length} bytes, not ${STATS_BYTES}`,
          );
          return;
        }
        const stats = readStats(payload);
        there.remoteCounted(stats.interfaceDropped, stats.kernelDropped);
        silence.heard(stats, there.remoteArrived());
      },
      () => {}, // onEnd() has it, or the daemon has no counters
    );
  };
  const timer = setInterval(ask, Number(values.statsMs)).unref();
  const end = () => {
    clearInterval(timer);
    control.close();
  };
  // WHY not an assignment: the addon's methods are read-only.
  Object.defineProperty(session, 'close', {
    value: () => {
      end();
      return close();
    },
  });
  control.onEnd = (why) => {
    clearInterval(timer);
    if (control.isAtItsEnd) {
      weak.deref()?.remoteFinish();
      return;
    }
    const error = why instanceof CaptureError ? why : new CaptureError('RINGTAP_CLOSED', 'the capture was given up');
    const start = `${values.uri}: `;
    const message = error.message.startsWith(start) ? error.message.slice(start.length) : error.message;
    weak.deref()?.remoteEnd(error.code, message, error.hint);
  };
  control.unref();
  // It may have ended before anybody watched: a short trace does.
  if (control.failure !== undefined) control.onEnd(control.failure);
}

/** Says once each what a user would look for in vain in the packets. */
class Silence {
  readonly #uri: string;
  /** When nothing had been sent yet. */
  #before = performance.now();
  #last: RemoteStats | undefined;
  #still = 0;
  #isToldBlocked = false;
  #isToldStalled = false;

  constructor(uri: string) {
    this.#uri = uri;
  }

  heard(stats: RemoteStats, hasArrived: boolean): void {
    const now = performance.now();
    if (stats.sent === 0) this.#before = now;
    if (!hasArrived && now - this.#before >= BLOCKED_MS && !this.#isToldBlocked) {
      this.#isToldBlocked = true;
      this.#say(
        `the daemon has sent ${stats.sent} packets, and none has arrived: a firewall may stop them on the way (transport=tcp goes another one)`,
      );
    }
    const stands = this.#last !== undefined && stats.sent === this.#last.sent && stats.received > this.#last.received;
    this.#still = stands ? this.#still + 1 : 0;
    this.#last = stats;
    if (this.#still >= STALLED_COUNTS && !this.#isToldStalled) {
      this.#isToldStalled = true;
      this.#say(
        'the daemon counts packets, but has sent none for a while: its capture may have ended, as over UDP after a packet of 64 KiB',
      );
    }
  }

  #say(what: string): void {
    warn('RINGTAP_REMOTE_SILENT', `${this.#uri}: ${what}`);
  }
}
