// One worker after another with the same share.
import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { Control } from './control.js';
import { type FromWorker, fromPlain, type Phase, type WorkerStart } from './messages.js';
import type { WorkerFault } from './types.js';

/** How long a worker that has ended may take until its thread has: handlers may have left timers. */
const LINGER_MS = 500;

/** How long one that goes on where another has ended may take to begin. */
const START_MS = 10_000;

/** What a member tells of its worker. */
export interface MemberEvents {
  ready(): void;
  report(member: Member, value: unknown): void;
  part(member: Member, value: unknown): void;
  /** It has ended as it was to: its share is at its end, or it was stopped. */
  ended(member: Member): void;
  /** It has ended otherwise. */
  failed(member: Member, failure: MemberFailure): void;
}

export interface MemberFailure {
  readonly kind: WorkerFault['kind'];
  readonly phase: Phase;
  readonly error: Error;
}

/** WHY: a program given as text (--input-type, -e) leaves its flags to workers, which refuse them for a file. */
const isText = () => process.execArgv.some((flag) => flag.startsWith('--input-type'));

const ENTRY = new URL('./worker.js', import.meta.url);

export class Member {
  readonly number: number;
  readonly control = new Control();
  restarts = 0;
  /** Whether its last value was merged, or it has had none. */
  isComplete = false;
  readonly #events: MemberEvents;
  readonly #start: Omit<WorkerStart, 'control' | 'again'>;
  #worker: Worker | undefined;
  #exit: Promise<void> = Promise.resolve();
  #isReady = false;
  #cpuBefore = 0;
  #beats = 0;
  #beatAt = 0;
  #hung = false;

  constructor(number: number, start: Omit<WorkerStart, 'control' | 'again'>, events: MemberEvents) {
    this.number = number;
    this.#start = start;
    this.#events = events;
  }

  get cpuMs(): number {
    return this.#cpuBefore + this.control.cpuMs;
  }
  get isRunning(): boolean {
    return this.#worker !== undefined;
  }

  /** @throws a DataCloneError where `data` cannot be cloned, and what a thread that cannot be made fails with */
  spawn(): void {
    const workerData: WorkerStart = { ...this.#start, control: this.control.memory, again: this.restarts > 0 };
    this.#isReady = false;
    this.#hung = false;
    this.#beatAt = performance.now();
    const worker = new Worker(ENTRY, {
      workerData,
      name: `ringtap ${this.number}`,
      ...(isText() ? { execArgv: [] } : {}),
    });
    this.#worker = worker;
    let hasEnded = false;
    let failure: MemberFailure | undefined;
    worker.on('message', (message: FromWorker) => {
      switch (message.type) {
        case 'ready':
          this.#isReady = true;
          this.#beatAt = performance.now();
          return this.#events.ready();
        case 'report':
          return this.#events.report(this, message.value);
        case 'part':
          return this.#events.part(this, message.value);
        case 'failed':
          failure = { kind: 'throw', phase: message.phase, error: fromPlain(message.error) };
          return this.#linger(worker);
        case 'ended':
          hasEnded = true;
          return this.#linger(worker);
      }
    });
    worker.on('error', (error: unknown) => {
      failure ??= {
        kind: 'throw',
        phase: this.#phase(),
        error: error instanceof Error ? error : new Error(String(error)),
      };
    });
    this.#exit = new Promise((resolve) => {
      worker.once('exit', (code) => {
        this.#worker = undefined;
        this.#cpuBefore += this.control.cpuMs;
        this.control.cpuMs = 0;
        this.isComplete = hasEnded;
        resolve();
        if (hasEnded) return this.#events.ended(this);
        const error = new Error(this.#hung ? 'it was silent for too long' : `it ended with exit code ${code}`);
        this.#events.failed(this, failure ?? { kind: this.#hung ? 'hang' : 'exit', phase: this.#phase(), error });
      });
    });
  }

  #phase(): Phase {
    return this.#isReady ? 'handler' : 'start';
  }

  #linger(worker: Worker): void {
    setTimeout(() => void worker.terminate(), LINGER_MS).unref();
  }

  /** Ends a worker that has been silent for so long. */
  watch(hangMs: number): void {
    const { beats } = this.control;
    const now = performance.now();
    const limit = this.#isReady ? hangMs : Math.max(hangMs, START_MS);
    if (beats !== this.#beats) {
      this.#beats = beats;
      this.#beatAt = now;
    } else if (now - this.#beatAt > limit && this.#worker !== undefined && !this.#hung) {
      this.#hung = true;
      void this.#worker.terminate();
    }
  }

  /** It is to end by itself. */
  stop(): void {
    this.control.stop();
    this.#worker?.postMessage('stop');
  }
  /** It ends, whatever it is doing. */
  async terminate(): Promise<void> {
    await this.#worker?.terminate();
    await this.#exit;
  }
  get exit(): Promise<void> {
    return this.#exit;
  }
}
