import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { withoutCompression } from '../generated/trace_names.js';
import { ownOptions } from '../uri/options.js';

/** How a trace is compressed while it is written. */
export interface CompressOptions {
  /** zstd is the best for nearly all, lz4 costs half the CPU and packs less, gzip is what every program reads. */
  method: 'zstd' | 'lz4' | 'gzip';
  /** A number as of the method's own tool: zstd 1 to 19, lz4 1 to 12, gzip 1 to 9. Default 1: the fastest. */
  level?: number | undefined;
  /**
   * Parts that can be decompressed alone, of zstd (4 MiB, or a second) and lz4 (1 MiB, or half a second). `index` (the
   * default for these two): within one ordinary frame, and a small index of them is written beside the trace, as
   * `NAME.rtidx`. `frames`: a frame each, and a table of them at the end (zstd's seekable format), which the Wireshark of
   * Debian 12 and older do not read beyond the first. `none`: only what any tool would write; zstd is a fifth faster.
   */
  sections?: 'index' | 'frames' | 'none' | undefined;
}

/** As the addon takes it. */
export interface NativeCompression {
  readonly method: string;
  readonly level: number;
  readonly sections: string;
}

const MOST_LEVEL = { zstd: 19, lz4: 12, gzip: 9 } as const;
const SECTIONS = ['index', 'frames', 'none'];
const OPTIONS = ['method', 'level', 'sections'];

const isMethod = (name: unknown): name is keyof typeof MOST_LEVEL =>
  typeof name === 'string' && Object.hasOwn(MOST_LEVEL, name);

/** What the option `compress` means, or the suffix of the path where it is not given. */
export function compressionOf(uri: string, path: string, given: unknown): NativeCompression | undefined {
  const bad = (what: string) =>
    new CaptureError('RINGTAP_BAD_OPTION', `${uri}: ${what}`, {
      uri,
      hint: "Write compress: 'zstd', 'zstd:3', 'lz4', 'gzip:6', or 'none'.",
    });
  if (given === 'none' || given === false) return undefined;
  if (given === undefined) {
    const { method } = withoutCompression(path);
    if (method === undefined) return undefined;
    if (!isMethod(method)) {
      throw new CaptureError('RINGTAP_UNSUPPORTED', `${uri}: traces are not written with ${method}, only read`, {
        uri,
        hint: "Name it .zst, .lz4 or .gz; compress: 'none' writes it plain, under this name.",
      });
    }
    return chosen(method, undefined, undefined, path);
  }
  if (typeof given === 'string') {
    const [method, level, ...more] = given.split(':');
    if (!isMethod(method) || more.length > 0)
      throw bad(`compress is ${show(given)}, no method that traces are written with`);
    if (level !== undefined && !/^\d{1,2}$/.test(level)) throw bad(`compress is ${show(given)}, with no level`);
    return chosen(method, level === undefined ? undefined : Number(level), undefined, path, bad);
  }
  if (typeof given !== 'object' || given === null)
    throw bad(`option compress must be text or an object, not ${show(given)}`);
  const own = ownOptions({ uri }, given);
  for (const name of Object.keys(own)) {
    if (!OPTIONS.includes(name)) throw bad(`compress has no option "${name}"`);
  }
  const { method, level, sections } = own;
  if (!isMethod(method)) throw bad(`compress.method is ${show(method)}, no method that traces are written with`);
  return chosen(method, level, sections, path, bad);
}

function chosen(
  method: keyof typeof MOST_LEVEL,
  level: unknown,
  sections: unknown,
  path: string,
  bad: (what: string) => CaptureError = () => new CaptureError('RINGTAP_INTERNAL', 'no option to refuse'),
): NativeCompression {
  const most = MOST_LEVEL[method];
  if (level !== undefined && !(Number.isInteger(level) && (level as number) >= 1 && (level as number) <= most)) {
    throw bad(`the level of ${method} must be a whole number from 1 to ${most}, not ${show(level)}`);
  }
  if (sections !== undefined && !SECTIONS.includes(sections as string)) {
    throw bad(`compress.sections must be index, frames or none, not ${show(sections)}`);
  }
  if (sections === 'frames' && method !== 'zstd')
    throw bad(`compress.sections frames is zstd's, not that of ${method}`);
  if (sections === 'index' && method === 'gzip') throw bad('gzip has no sections: leave out compress.sections');
  const usual = method === 'gzip' || path === '-' ? 'none' : 'index';
  return { method, level: (level as number | undefined) ?? 1, sections: (sections as string | undefined) ?? usual };
}
