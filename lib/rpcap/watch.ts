// While a capture runs: the daemon's counters, and whether it is still there.
import { setTimeout as sleep } from 'node:timers/promises';
import { CaptureError, warn } from '../errors/errors.js';
import type { NativeSession } from '../native/native.js';
import type { OptionValue } from '../uri/values.js';
import type { Control } from './control.js';
import { type RemoteStats, readStats, STATS_BYTES, Type } from './messages.js';

/** After so long without one of the packets that the daemon sends, something is in their way. */
const BLOCKED_MS = 2000;
/** What goes on is said again after so long. */
const AGAIN_MS = 60_000;
/** A daemon whose thread is gone goes on to answer: told by so many counts that stand still while packets come. */
const STALLED_COUNTS = 3;

/** At the end the daemon is asked once more, and what it had sent is waited for: no longer than this. */
const SETTLE_MS = 500;
const LOOK_MS = 10;

/**
 * Asks for the counters until the session is closed, or forgotten, or the daemon is gone.
 * @param settles the daemon's count of what it has sent tells what is lost behind the last packet that has come
 */
export function watch(
  control: Control,
  session: NativeSession,
  values: Readonly<Record<string, OptionValue>>,
  settles: boolean,
): void {
  const weak = new WeakRef(session);
  const close = session.close.bind(session);
  const silence = new Silence(String(values.uri));
  const ask = async () => {
    const payload = await control.request(Type.stats);
    if (payload.length < STATS_BYTES) {
      const what = `the daemon's answer to STATS has ${payload.length} bytes, not ${STATS_BYTES}`;
      control.fail('RINGTAP_REMOTE_PROTOCOL', what);
      return;
    }
    const there = weak.deref();
    if (there === undefined) return;
    const stats = readStats(payload);
    there.remoteCounted(stats.interfaceDropped, stats.kernelDropped, settles ? stats.sent : undefined);
    silence.heard(stats, there.remoteArrived());
  };
  const asks = () => ask().catch(() => {}); // onEnd() has it, or the daemon has no counters
  const timer = setInterval(() => {
    if (weak.deref() === undefined) end();
    else if (!control.isWaiting) void asks();
  }, Number(values.statsMs)).unref();
  const end = () => {
    clearInterval(timer);
    control.close();
  };
  if (settles) control.lastWords = asks;
  const settled = async (there: NativeSession) => {
    clearInterval(timer);
    control.ref();
    const deadline = performance.now() + SETTLE_MS;
    await Promise.race([asks(), sleep(SETTLE_MS)]);
    while (!there.remoteSettle() && performance.now() < deadline) await sleep(LOOK_MS);
    end();
  };
  // WHY not an assignment: the addon's methods are read-only.
  Object.defineProperty(session, 'close', {
    value: () => {
      if (settles && control.failure === undefined) return settled(session).finally(close);
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

/** Says what a user would look for in vain in the packets. */
class Silence {
  readonly #uri: string;
  /** As all was well last: when, what had arrived, and what had been sent. */
  #since = performance.now();
  #arrived: number | undefined = 0;
  #sent = 0;
  /** Counts since then that were higher than the one before. */
  #growths = 0;
  #last: RemoteStats | undefined;
  #still = 0;
  #toldBlocked = Number.NEGATIVE_INFINITY;
  #isToldStalled = false;

  constructor(uri: string) {
    this.#uri = uri;
  }

  /** @param arrived bytes that were read; undefined: some wait to be read */
  heard(stats: RemoteStats, arrived: number | undefined): void {
    const now = performance.now();
    const comes = arrived === undefined || arrived !== this.#arrived;
    this.#growths = stats.sent === (this.#last?.sent ?? 0) ? this.#growths : this.#growths + 1;
    if (comes || stats.sent === this.#sent) {
      this.#since = now;
      this.#arrived = arrived;
      this.#sent = stats.sent;
      this.#growths = 0;
    }
    // WHY later on only what goes on: a packet that is lost while nothing else is sent is no firewall.
    const isBlocked = this.#arrived === 0 ? stats.sent > 0 : this.#growths > 1;
    if (isBlocked && now - this.#since >= BLOCKED_MS && now - this.#toldBlocked >= AGAIN_MS) {
      this.#toldBlocked = now;
      this.#say(this.#blocked(stats.sent, now));
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

  #blocked(sent: number, now: number): string {
    const why = 'a firewall may stop them on the way (transport=tcp goes another one)';
    if (this.#arrived === 0) return `the daemon has sent ${sent} packets, and none has arrived: ${why}`;
    const seconds = Math.round((now - this.#since) / 1000);
    return `the daemon goes on sending, ${sent - this.#sent} packets so far, and none has arrived for ${seconds} s: ${why}`;
  }

  #say(what: string): void {
    warn('RINGTAP_REMOTE_SILENT', `${this.#uri}: ${what}`);
  }
}
