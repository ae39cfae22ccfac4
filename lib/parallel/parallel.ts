import { onAbort } from '../errors/abort.js';
import { CaptureError, warn, withoutUri, wrapNative } from '../errors/errors.js';
import type { BackendName, OptionsOf } from '../generated/options.js';
import { addon, type NativeShares } from '../native/native.js';
import type { Plan } from '../plan/plan.js';
import { warnOfPlan } from '../plan/warnings.js';
import { resolve } from '../uri/request.js';
import { Member, type MemberFailure } from './member.js';
import { openShares } from './opening.js';
import { type ParallelOptions, type ParallelSettings, splitOptions } from './options.js';
import { Reports } from './reports.js';
import { sharingOf } from './sharing.js';
import { statsOf } from './stats.js';
import type { ParallelSharing, ParallelStats, Report, WorkerFault } from './types.js';

/** How often workers are looked at. */
const WATCH_MS = 250;
/** How long workers may take to end by themselves before they are ended. */
const PATIENCE_MS = 1000;

/**
 * A capture that several worker threads read, each packet one of them. It ends with the trace, by {@link close}, or when a
 * worker fails more often than it may; it keeps the process alive until then.
 * @example
 * await using parallel = await openParallel('synth:?count=100000', {
 *   workers: 2,
 *   handler: new URL('./handler.mjs', import.meta.url),
 * });
 * for await (const { worker, value } of parallel.reports()) console.log(worker, value);
 * console.log(parallel.stats().imbalance);
 */
export class ParallelCapture<Sum = unknown> implements AsyncDisposable {
  /** The URI as it was given. */
  readonly uri: string;
  /** The capture method that was chosen. */
  readonly backend: BackendName;
  /** How the capture is done, and why so. */
  readonly plan: Plan;
  /** How packets are dealt out to workers, and what is kept together. */
  readonly sharing: ParallelSharing;
  /** The number of workers. */
  readonly workers: number;

  readonly #native: NativeShares;
  readonly #settings: ParallelSettings;
  readonly #members: Member[];
  readonly #reports = new Reports((worker) => this.#members[worker]!.control.took());
  readonly #finished: Promise<void>;
  #settle!: (failure: { readonly reason: unknown } | undefined) => void;
  #failure: { readonly reason: unknown } | undefined;
  #ready = 0;
  #allReady!: () => void;
  readonly #readiness: Promise<void>;
  #isStarting = true;
  /** Whether somebody hears of a failure. */
  #isHeard = false;
  #sum: unknown;
  #isComplete = true;
  #ended = 0;
  #captureFailure: CaptureError | undefined;
  #watch: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  #forgetSignal: (() => void) | undefined;

  /** @internal Use `openParallel()`. */
  constructor(native: NativeShares, plan: Plan, settings: ParallelSettings, number: number, sharing: ParallelSharing) {
    this.uri = plan.uri;
    this.backend = plan.backend;
    this.plan = plan;
    this.sharing = sharing;
    this.workers = settings.workers;
    this.#native = native;
    this.#settings = settings;
    this.#sum = settings.reduce?.initial;
    this.#finished = new Promise((done, fail) => {
      this.#settle = (failure) => (failure === undefined ? done() : fail(failure.reason));
    });
    this.#finished.catch(() => {}); // of which nobody may have asked: it is told by a warning then
    this.#readiness = new Promise((done) => {
      this.#allReady = done;
    });
    const { handler, data, workers, reportLimit, reduce } = settings;
    const common = { set: number, workers, handler, data, plan, reportLimit, reduceMs: reduce?.intervalMs ?? 0 };
    const cpus = settings.cpus;
    this.#members = Array.from(
      { length: workers },
      (_, share) =>
        new Member(
          share,
          { ...common, share, cpus: cpus === undefined ? [] : [cpus[share % cpus.length]!] },
          {
            ready: () => this.#oneReady(),
            report: ({ number: worker }, value) => this.#reports.add({ worker, value }),
            part: ({ number: worker }, value) => this.#merge(value, worker),
            ended: () => this.#oneEnded(),
            failed: (member, failure) => this.#oneFailed(member, failure),
          },
        ),
    );
  }

  /** @internal */
  async start(signal: AbortSignal | undefined): Promise<void> {
    try {
      for (const member of this.#members) member.spawn();
    } catch (cause) {
      await this.close();
      const isClone = cause instanceof Error && cause.name === 'DataCloneError';
      if (!isClone) throw cause;
      const text = `${this.uri}: option data cannot be cloned: ${cause.message}`;
      throw new CaptureError('RINGTAP_BAD_OPTION', text, { uri: this.uri, cause });
    }
    if (signal !== undefined) {
      this.#forgetSignal = onAbort(signal, () => {
        this.#fail(signal.reason);
      });
    }
    await Promise.race([this.#readiness, this.#finished]);
    if (this.#failure === undefined) {
      try {
        await this.#native.start();
      } catch (error) {
        this.#fail(wrapNative(error, this.backend, this.uri));
      }
    }
    this.#isStarting = false;
    if (this.#failure !== undefined) {
      await this.close();
      throw (this.#failure as { reason: unknown }).reason;
    }
    const { hangMs } = this.#settings;
    if (hangMs > 0) {
      this.#watch = setInterval(() => {
        for (const member of this.#members) member.watch(hangMs);
      }, WATCH_MS).unref();
    }
  }

  /**
   * What `reduce` has made of the values of all workers so far; `reduce.initial` where there are none yet. Undefined without
   * `reduce`.
   */
  get reduced(): Sum {
    return this.#sum as Sum;
  }

  /** Whether nothing of {@link reduced} was lost: no worker has ended without giving its last value. */
  get complete(): boolean {
    return this.#isComplete;
  }

  /**
   * Values that workers give `context.report()`, in the order in which they come. Several readers share them. It ends when all
   * workers have.
   * @returns an iterator to be read with `for await`; a `break` leaves the rest for later
   * @throws what {@link finished} rejects with, once all values were read
   * @example
   * for await (const { worker, value } of parallel.reports()) console.log(`worker ${worker}:`, value);
   */
  reports(): AsyncIterableIterator<Report, undefined> {
    this.#isHeard = true;
    return this.#reports.iterate();
  }

  /**
   * Resolves when all workers have ended: at the end of a trace, or after {@link close}.
   * @throws CaptureError RINGTAP_WORKER_FAILED, with what a handler threw as its cause; what the capture fails with; or the
   * signal's reason
   * @example
   * await parallel.finished();
   * console.log(parallel.reduced, parallel.stats().received);
   */
  finished(): Promise<void> {
    this.#isHeard = true;
    return this.#finished;
  }

  /**
   * The ledger, of all shares together and of each: `received = delivered + filtered + dropped + pending`. Exact while workers
   * come and go, and still readable after close.
   * @throws nothing
   * @example
   * const { received, dropped, imbalance, workers } = parallel.stats();
   * console.log(received, dropped, imbalance, workers.map(({ cpuMs }) => cpuMs));
   */
  stats(): ParallelStats {
    return statsOf(this.#native, this.#members);
  }

  /**
   * Ends all workers, after their `onEnd`, within two seconds: those that take longer are ended. Then frees everything. Packets
   * that were not read stay counted as pending. Idempotent.
   * @throws nothing that a caller could mend
   * @example
   * process.once('SIGTERM', () => parallel.close());
   * await parallel.finished();
   * await parallel.close();
   * console.log(parallel.stats().received);
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#forgetSignal?.();
    clearInterval(this.#watch);
    const running = this.#members.filter((member) => member.isRunning);
    for (const member of running) member.stop();
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((done) => {
      timer = setTimeout(done, this.#isStarting ? 0 : PATIENCE_MS);
    });
    await Promise.race([Promise.all(running.map((member) => member.exit)), patience]);
    clearTimeout(timer);
    await Promise.all(this.#members.map((member) => member.terminate()));
    await this.#native.close();
    this.#reports.end(this.#failure?.reason);
    this.#settle(this.#failure);
  }

  #oneReady(): void {
    if (this.#isStarting && ++this.#ready === this.workers) this.#allReady();
  }

  #oneEnded(): void {
    this.#ended++;
    if (this.#ended < this.workers) return;
    if (this.#captureFailure === undefined) void this.close();
    else this.#fail(this.#captureFailure);
  }

  /** It fails the other workers, too, and another one in this one's place: each when it has had what came before. */
  #captureFailed(error: CaptureError): void {
    if (this.#isStarting) {
      this.#fail(error);
      return;
    }
    this.#captureFailure ??= error;
    setTimeout(() => {
      if (this.#closing === undefined) this.#fail(error);
    }, PATIENCE_MS).unref();
    this.#oneEnded();
  }

  #oneFailed(member: Member, { kind, phase, error }: MemberFailure): void {
    if (this.#settings.reduce !== undefined && phase !== 'capture') this.#isComplete = false;
    if (this.#closing !== undefined) return;
    if (phase === 'load') this.#fail(this.#badHandler(error));
    else if (phase === 'capture' && error instanceof CaptureError) this.#captureFailed(error);
    else this.#restart(member, kind, error);
  }

  #badHandler(cause: Error): CaptureError {
    const { uri, backend } = this;
    const what = cause instanceof CaptureError ? cause.message : `cannot be loaded: ${cause.message}`;
    const text = `${uri}: handler ${this.#settings.handler}: ${what}`;
    return new CaptureError('RINGTAP_BAD_HANDLER', text, { uri, backend, cause });
  }

  #restart(member: Member, kind: WorkerFault['kind'], error: Error): void {
    const restarted = !this.#isStarting && member.restarts < this.#settings.restarts;
    this.#tell({ worker: member.number, kind, error, restarted });
    if (this.#closing !== undefined) return; // who was told has ended it
    if (restarted) {
      member.restarts++;
      try {
        member.spawn();
      } catch (cause) {
        this.#fail(cause);
      }
      return;
    }
    const { uri, backend } = this;
    const times = member.restarts === 0 ? '' : `, after it was started again ${member.restarts} times`;
    const text = `${uri}: worker ${member.number} has ended (${kind})${times}: ${error.message}`;
    this.#fail(new CaptureError('RINGTAP_WORKER_FAILED', text, { uri, backend, cause: error }));
  }

  #tell(fault: WorkerFault): void {
    if (this.#settings.onFault !== undefined) {
      try {
        this.#settings.onFault(fault);
      } catch (error) {
        this.#fail(error);
      }
    } else if (fault.restarted) {
      const what = `worker ${fault.worker} has ended (${fault.kind}) and is started again: ${fault.error.message}`;
      warn('RINGTAP_WORKER', `${this.uri}: ${what}`);
    }
  }

  #merge(value: unknown, worker: number): void {
    try {
      this.#sum = this.#settings.reduce?.merge(this.#sum, value, worker);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(reason: unknown): void {
    if (this.#failure === undefined && !this.#isStarting && !this.#isHeard && reason instanceof CaptureError) {
      warn('RINGTAP_WORKER', `${this.uri}: all workers end: ${withoutUri(this.uri, reason.message)}`);
    }
    this.#failure ??= { reason };
    if (this.#isStarting) this.#settle(this.#failure);
    else void this.close();
  }
}

/**
 * Opens a capture that several worker threads read, so that it is not one processor alone that works on its packets. Each
 * packet goes to one worker, and packets of a flow to the same one, as `hash` says. When the promise resolves all workers run,
 * and none has missed a packet.
 *
 * Workers run the functions of a module of their own: {@link ParallelHandler}. Nothing is copied between threads: all read the
 * memory that packets were captured into. A worker that fails is started again and goes on with its share, whose packets wait
 * meanwhile; those that find no room are counted as lost.
 *
 * @param uri as {@link open} takes it, but for `rpcap:` and `tcp:`
 * @param options those of the URI's scheme, and those of {@link ParallelOptions}
 * @throws CaptureError RINGTAP_BAD_HANDLER where the module cannot be loaded or exports no `onBatch`, RINGTAP_WORKER_FAILED
 * where `onStart` throws, RINGTAP_BAD_OPTION, RINGTAP_NO_MEMORY where the rings of all workers are more than there is,
 * RINGTAP_UNSUPPORTED, and what {@link open} is rejected with; or the signal's reason
 * @example
 * const parallel = await openParallel('synth:?count=100000', {
 *   workers: 2,
 *   handler: new URL('./handler.mjs', import.meta.url), // exports onBatch, and onReduce for the sum
 *   reduce: { initial: 0, merge: (sum: number, packets: number) => sum + packets },
 * });
 * await parallel.finished();
 * console.log(parallel.reduced, parallel.stats().dropped);
 */
export async function openParallel<Uri extends string, Sum = unknown>(
  uri: Uri,
  options: ParallelOptions<Sum> & NonNullable<OptionsOf<Uri>>,
): Promise<ParallelCapture<Sum>> {
  const [settings, rest] = splitOptions(uri, options);
  const request = resolve(uri, rest);
  const followed = await openShares(request, settings);
  if (!followed.ok) throw followed.error;
  const { session: native, info, plan, ignored } = followed;
  warnOfPlan(request, plan, ignored);
  const { method, hash, number } = native.info();
  const notes = [...plan.notes];
  if (hash !== settings.hash) {
    notes.push(`packets are dealt out by hash ${hash}, not ${settings.hash}: the kernel takes no eBPF of this process`);
  }
  const whole = Object.freeze({ ...plan, maxLeases: info.maxLeases, notes });
  const checked = { ...settings, cpus: settings.cpus?.length === 0 ? ownCpus() : settings.cpus };
  const parallel = new ParallelCapture<Sum>(native, whole, checked, number, sharingOf(method, hash));
  await parallel.start(request.signal);
  return parallel;
}

/** Processors that this process may use. */
function ownCpus(): readonly number[] {
  const list = addon().cpus?.() ?? [];
  return list.length === 0 ? [0] : list;
}
