import { availableParallelism } from 'node:os';
import { isAbsolute, resolve as resolvePath } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { nearestName } from '../uri/nearest.js';
import { bad, ownOptions } from '../uri/options.js';
import { HASHES } from './sharing.js';
import type { ParallelHash, WorkerFault } from './types.js';

/**
 * Values of all workers made into one.
 * @example
 * const reduce: Reduce<number, number> = { initial: 0, merge: (sum, packets) => sum + packets };
 * console.log(reduce.merge(reduce.initial, 3, 0));
 */
export interface Reduce<Sum = unknown, Value = unknown> {
  /** What there is before the first one. */
  readonly initial: Sum;
  /**
   * Adds what a worker's `onReduce` gave. Runs where `openParallel()` was called.
   * @param sum what there is so far
   * @param value what the worker has found since it was asked last: a copy
   * @param worker its number
   * @returns what there is then
   * @throws nothing that is caught: it ends the capture, which fails with it
   */
  merge(sum: Sum, value: Value, worker: number): Sum;
  /** How often workers are asked, in ms; default 1000. They are asked once more at their end. */
  readonly intervalMs?: number | undefined;
}

/** What `openParallel()` takes beside the options of the URI's scheme. */
export interface ParallelOptions<Sum = unknown> {
  /** The module that runs in each worker: a URL object, or a path. See {@link ParallelHandler}. */
  readonly handler: string | { readonly href: string };
  /** The number of workers, 1 to 256; default as many as there are CPUs for this process. */
  readonly workers?: number | 'auto' | undefined;
  /** What decides which worker gets a packet; default bidirectional: both directions of a conversation. */
  readonly hash?: ParallelHash | undefined;
  /** Anything that can be cloned; handlers find it as `context.data`. */
  readonly data?: unknown;
  /** What happens when a worker throws, ends or hangs: another one goes on with its share (default), or all stop. */
  readonly onWorkerExit?: 'restart' | 'stop' | undefined;
  /** The number of times that each worker may be started again; default 5. Then all stop. */
  readonly restarts?: number | undefined;
  /** The silence after which a worker counts as hanging, in ms; default 10000, and 0 is never. */
  readonly hangMs?: number | undefined;
  /** Called of each worker that ended when it was not to; default a process warning. */
  readonly onFault?: ((fault: WorkerFault) => void) | undefined;
  /** Numbers of CPUs that workers run on, one each in turn; `auto` is those that this process may use. Default: any. */
  readonly cpus?: 'auto' | readonly number[] | undefined;
  /** Makes one value of what workers find: {@link ParallelCapture.reduced}. */
  readonly reduce?: Reduce<Sum> | undefined;
  /** The limit of values of one worker that wait to be read from `reports()`; default 1024. More are dropped, and counted. */
  readonly reportLimit?: number | undefined;
}

/** Checked. */
export interface ParallelSettings {
  readonly handler: string;
  readonly workers: number;
  readonly hash: ParallelHash;
  readonly data: unknown;
  readonly restarts: number;
  readonly hangMs: number;
  readonly onFault: ((fault: WorkerFault) => void) | undefined;
  readonly cpus: readonly number[] | undefined;
  readonly reduce: Required<Reduce> | undefined;
  readonly reportLimit: number;
}

const NAMES: readonly (keyof ParallelOptions)[] = [
  ...([
    'handler',
    'workers',
    'hash',
    'data',
    'onWorkerExit',
    'restarts',
    'hangMs',
    'onFault',
    'cpus',
    'reduce',
  ] as const),
  'reportLimit',
];
const MOST_WORKERS = 256;

/** What is for workers, and what is for the capture. */
export function splitOptions(uri: string, options: unknown): [ParallelSettings, Record<string, unknown>] {
  const own = ownOptions({ uri }, options) as Readonly<Record<string, unknown>>;
  const ours: Record<string, unknown> = Object.create(null);
  const rest: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(own)) {
    if ((NAMES as readonly string[]).includes(name)) ours[name] = value;
    else rest[name] = value;
  }
  return [settingsOf(uri, ours), rest];
}

function settingsOf(uri: string, ours: Readonly<Record<string, unknown>>): ParallelSettings {
  const whole = (name: string, usual: number, least: number, most: number) => {
    const { [name]: value = usual } = ours;
    if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
    throw bad({ uri }, name, `must be a whole number of ${least} to ${most}, not ${show(value)}`, helpOf(name));
  };
  const choice = <T extends string>(name: string, usual: T, values: readonly T[]): T => {
    const { [name]: value = usual } = ours;
    if (values.includes(value as T)) return value as T;
    const near = typeof value === 'string' ? nearestName(value, values) : undefined;
    const hint = near === undefined ? helpOf(name) : `Did you mean "${near}"? ${helpOf(name)}`;
    throw bad({ uri }, name, `must be one of ${values.join(', ')}, not ${show(value)}`, hint);
  };
  const { onFault } = ours;
  if (onFault !== undefined && typeof onFault !== 'function') {
    throw bad({ uri }, 'onFault', `must be a function, not ${show(onFault)}`, helpOf('onFault'));
  }
  const auto = ours.workers === undefined || ours.workers === 'auto';
  const workers = auto ? Math.min(availableParallelism(), MOST_WORKERS) : whole('workers', 1, 1, MOST_WORKERS);
  return {
    handler: handlerOf(uri, ours.handler),
    workers,
    hash: choice('hash', 'bidirectional', HASHES),
    data: ours.data,
    restarts: choice('onWorkerExit', 'restart', ['restart', 'stop']) === 'stop' ? 0 : whole('restarts', 5, 0, 1e6),
    hangMs: whole('hangMs', 10_000, 0, 86_400_000),
    onFault: onFault as ParallelSettings['onFault'],
    cpus: cpusOf(uri, ours.cpus),
    reduce: reduceOf(uri, ours.reduce),
    reportLimit: whole('reportLimit', 1024, 1, 1 << 20),
  };
}

const HELP: Readonly<Record<string, string>> = {
  workers: "workers: how many threads read, 'auto' is one for each processor.",
  hash: `hash: what decides which worker gets a packet, one of ${HASHES.join(', ')}.`,
  onWorkerExit: "onWorkerExit: 'restart' starts another worker for the share of one that has ended, 'stop' ends all.",
  restarts: 'restarts: how often each worker may be started again before all stop.',
  hangMs: 'hangMs: the silence in ms after which a worker is ended, 0 for never.',
  onFault: 'onFault: a function that is told of each worker which ended when it was not to.',
  cpus: "cpus: 'auto', or numbers of processors, as /proc/cpuinfo has them.",
  reduce: 'reduce: an object { initial, merge(sum, value, worker), intervalMs? }.',
  reportLimit: 'reportLimit: how many values of a worker may wait to be read.',
};
const helpOf = (name: string) => HELP[name];

function handlerOf(uri: string, handler: unknown): string {
  const refused = (what: string, cause?: unknown) =>
    new CaptureError('RINGTAP_BAD_HANDLER', `${uri}: handler ${what}`, { uri, cause });
  if (handler === undefined) throw refused('is missing');
  try {
    const { href } = Object(handler) as { readonly href?: unknown };
    if (typeof handler === 'object' && typeof href === 'string') return href;
  } catch (cause) {
    throw refused('cannot be read', cause);
  }
  if (typeof handler !== 'string' || handler === '') throw refused(`must be a URL or a path, not ${show(handler)}`);
  if (handler.includes('\0')) throw refused('contains a NUL');
  if (/^(file|data|node):/.test(handler)) return handler;
  return pathToFileURL(isAbsolute(handler) ? handler : resolvePath(handler)).href;
}

function cpusOf(uri: string, cpus: unknown): readonly number[] | undefined {
  if (cpus === undefined) return undefined;
  if (cpus === 'auto') return [];
  let list: unknown[] | undefined;
  try {
    list = Array.isArray(cpus) ? Array.from(cpus.slice(0, 1025)) : undefined;
  } catch {} // a list that cannot be read
  const isCpu = (cpu: unknown) => Number.isInteger(cpu) && (cpu as number) >= 0 && (cpu as number) < 1024;
  if (list === undefined || list.length === 0 || list.length > 1024 || !list.every(isCpu)) {
    throw bad({ uri }, 'cpus', `must be auto, or numbers of processors, not ${show(cpus)}`, helpOf('cpus'));
  }
  return list as number[];
}

function reduceOf(uri: string, reduce: unknown): Required<Reduce> | undefined {
  if (reduce === undefined) return undefined;
  const own = ownOptions({ uri }, reduce, 'reduce is an object { initial, merge }') as Record<string, unknown>;
  const { initial, merge, intervalMs = 1000 } = own;
  if (typeof merge !== 'function') {
    throw bad({ uri }, 'reduce', `must have a function merge, not ${show(merge)}`, helpOf('reduce'));
  }
  if (!(Number.isInteger(intervalMs) && (intervalMs as number) >= 10 && (intervalMs as number) <= 86_400_000)) {
    throw bad(
      { uri },
      'reduce',
      `must have an intervalMs of 10 to 86400000, not ${show(intervalMs)}`,
      helpOf('reduce'),
    );
  }
  return { initial, merge: merge as Required<Reduce>['merge'], intervalMs: intervalMs as number };
}
