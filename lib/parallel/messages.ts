import { CaptureError, type CaptureErrorJson } from '../errors/errors.js';
import type { NativeInfo } from '../native/native.js';
import type { Plan } from '../plan/plan.js';

/** What a worker is started with. */
export interface WorkerStart {
  readonly set: number;
  readonly share: number;
  readonly workers: number;
  readonly handler: string;
  readonly data: unknown;
  readonly plan: Plan;
  readonly control: SharedArrayBuffer;
  readonly reportLimit: number;
  /** 0: nothing is reduced. */
  readonly reduceMs: number;
  readonly cpus: readonly number[];
  /** Whether it goes on where another one has ended. */
  readonly again: boolean;
}

/** What a worker was about when it failed. */
export type Phase = 'load' | 'start' | 'handler' | 'capture';

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'report'; readonly value: unknown }
  | { readonly type: 'part'; readonly value: unknown }
  | { readonly type: 'failed'; readonly phase: Phase; readonly error: PlainError }
  | { readonly type: 'ended' };

/** An error as it passes between threads: cloning keeps no class and no fields of its own. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly capture: CaptureErrorJson | undefined;
}

export function toPlain(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined, capture: undefined };
  const { name, message, stack } = error;
  return { name, message, stack, capture: error instanceof CaptureError ? error.toJSON() : undefined };
}

export function fromPlain({ name, message, stack, capture }: PlainError): Error {
  if (capture !== undefined) return new CaptureError(capture.code, capture.message, capture);
  const error = new Error(message);
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return error;
}

export type SharesInfo = NativeInfo & { readonly shares: number };
