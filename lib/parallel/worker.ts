// What runs in each worker: the module that `new Worker()` loads.
import { performance } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import type { Batch } from '../capture/batch.js';
import { Capture } from '../capture/capture.js';
import { CaptureError } from '../errors/errors.js';
import { addon } from '../native/native.js';
import { Control } from './control.js';
import type { ParallelContext, ParallelHandler } from './handler.js';
import { type FromWorker, type Phase, toPlain, type WorkerStart } from './messages.js';

/** How long it blocks at a stretch: how soon it hears that it is to stop. */
const BLOCK_MS = 20;
/** How long batches may follow each other before timers and what is printed get their turn. */
const TURN_MS = 50;
/** How often it tells its processor time. */
const CPU_MS = 100;

const port = parentPort!;
const start = workerData as WorkerStart;
const control = new Control(start.control);
const say = (message: FromWorker) => port.postMessage(message);
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

class Failure {
  constructor(
    readonly phase: Phase,
    readonly error: unknown,
  ) {}
}

async function during<T>(phase: Phase, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Failure(phase, error);
  }
}

/** The functions of the module, which may export them by name or together as its default. */
async function load(): Promise<ParallelHandler> {
  const module = (await import(start.handler)) as { default?: unknown } & Record<string, unknown>;
  const whole = typeof module.onBatch === 'function' ? module : (module.default as Record<string, unknown> | undefined);
  if (typeof whole?.onBatch !== 'function')
    throw new CaptureError('RINGTAP_BAD_HANDLER', 'it exports no function onBatch');
  if (start.reduceMs > 0 && typeof whole.onReduce !== 'function') {
    throw new CaptureError('RINGTAP_BAD_HANDLER', 'it exports no function onReduce, which reduce asks for');
  }
  return whole as unknown as ParallelHandler;
}

class Run {
  readonly #handler: ParallelHandler;
  readonly #capture: Capture;
  readonly #context: ParallelContext;
  #turned = performance.now();
  #told = 0;
  #reduced = performance.now();

  constructor(handler: ParallelHandler, capture: Capture) {
    this.#handler = handler;
    this.#capture = capture;
    const { share: worker, workers, data, plan, reportLimit } = start;
    const report = (value: unknown): boolean => {
      if (!control.mayReport(reportLimit)) return false;
      try {
        say({ type: 'report', value });
      } catch (error) {
        control.takeBack();
        throw error;
      }
      return true;
    };
    const { linkType, epoch } = capture;
    this.#context = Object.freeze({ worker, workers, data, plan, linkType, epoch, report });
  }

  async start(): Promise<void> {
    await this.#handler.onStart?.(this.#context);
  }

  /** Until nothing comes any more, or it is to stop. */
  async read(): Promise<void> {
    const later = await this.#readBlocking();
    if (later !== undefined) await this.#readWaiting(later.result);
  }

  async end(): Promise<void> {
    await this.#handler.onEnd?.(this.#context);
    this.#reduce();
    control.cpuMs = addon().threadCpu?.() ?? 0;
  }

  /** Until a handler returns a promise, which is given: it needs the loop of events, which stands still here. */
  async #readBlocking(): Promise<{ readonly result: Promise<void> } | undefined> {
    const { onBatch, onIdle } = this.#handler;
    while (!control.isStopped) {
      const batch = this.#next();
      control.beat();
      const now = performance.now();
      if (batch !== null) {
        const result = this.#call(onBatch, batch);
        if (result !== undefined) return { result };
      } else if (this.#capture.ended) {
        return undefined;
      } else if (onIdle !== undefined) {
        this.#guard(() => onIdle.call(this.#handler, this.#context));
      }
      this.#look(now);
      if (now - this.#turned > TURN_MS) {
        await turn();
        this.#turned = now;
      }
    }
    return undefined;
  }

  async #readWaiting(first: Promise<void>): Promise<void> {
    const { onBatch } = this.#handler;
    let isWaiting = false;
    const timer = setInterval(() => {
      if (isWaiting) control.beat();
      this.#guardLater(() => this.#look(performance.now()));
    }, BLOCK_MS);
    try {
      await during('handler', () => first);
      const batches = this.#capture[Symbol.asyncIterator]();
      while (!control.isStopped) {
        isWaiting = true;
        const next = await during('capture', () => batches.next());
        isWaiting = false;
        control.beat();
        if (next.done === true || control.isStopped) return;
        const result = this.#call(onBatch, next.value);
        if (result !== undefined) await during('handler', () => result);
        if (this.#late !== undefined) throw this.#late;
      }
    } finally {
      clearInterval(timer);
    }
  }

  #late: Failure | undefined;

  #guardLater(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#late ??= error instanceof Failure ? error : new Failure('handler', error);
    }
  }

  #next(): Batch | null {
    try {
      return this.#capture.nextSync(BLOCK_MS);
    } catch (error) {
      throw new Failure('capture', error);
    }
  }

  #call(onBatch: ParallelHandler['onBatch'], batch: Batch): Promise<void> | undefined {
    try {
      const result: unknown = onBatch.call(this.#handler, batch, this.#context);
      const then = (result as { then?: unknown } | undefined)?.then;
      return typeof then === 'function' ? Promise.resolve(result as Promise<void>) : undefined;
    } catch (error) {
      throw new Failure('handler', error);
    }
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      throw new Failure('handler', error);
    }
  }

  #look(now: number): void {
    if (now - this.#told > CPU_MS) {
      this.#told = now;
      control.cpuMs = addon().threadCpu?.() ?? 0;
    }
    if (start.reduceMs > 0 && now - this.#reduced >= start.reduceMs) {
      this.#reduced = now;
      this.#guard(() => this.#reduce());
    }
  }

  #reduce(): void {
    if (start.reduceMs === 0) return;
    const value = this.#handler.onReduce?.(this.#context);
    if (value !== undefined) say({ type: 'part', value });
  }
}

async function main(): Promise<void> {
  if (start.cpus.length > 0) addon().pin?.(start.cpus);
  const handler = await during('load', load);
  const session = await during('capture', () => addon().attachShare!(start.set, start.share));
  const capture = new Capture(session, session.info(), start.plan, null);
  // While it waits without blocking, a message ends that.
  port.on('message', () => void capture.close());
  try {
    const run = new Run(handler, capture);
    await during('start', () => run.start());
    control.beat();
    say({ type: 'ready' });
    await readAll(run);
  } finally {
    await capture.close();
  }
}

/** What a capture fails with comes behind all its packets: what was found in those is good. */
async function readAll(run: Run): Promise<void> {
  try {
    await run.read();
  } catch (error) {
    if (error instanceof Failure && error.phase === 'capture') await during('handler', () => run.end());
    throw error;
  }
  await during('handler', () => run.end());
}

try {
  await main();
  say({ type: 'ended' });
} catch (error) {
  const { phase, error: reason } = error instanceof Failure ? error : new Failure('capture', error);
  say({ type: 'failed', phase, error: toPlain(reason) });
}
port.close();
