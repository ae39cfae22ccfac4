// Options of exporters: read once each, for they may be anything.
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { nearestName } from '../uri/nearest.js';
import { ownOptions } from '../uri/options.js';
import { faultIn } from '../uri/uri.js';

const HINT = 'docs/api/ringtap-export.md in the package lists the options of each exporter.';

/** The options of one exporter, which have these names only. */
export class Given {
  readonly #uri: string;
  readonly #own: Readonly<Record<string, unknown>>;

  /** @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION */
  constructor(uri: string, options: unknown, names: readonly string[], what = 'an exporter') {
    this.#uri = uri;
    this.#own = ownOptions({ uri }, options) as Readonly<Record<string, unknown>>;
    for (const name of Object.keys(this.#own)) {
      if (names.includes(name)) continue;
      const near = nearestName(name, names);
      const guess = near === undefined ? '' : `Did you mean "${near}"? `;
      throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `${uri}: ${what} has no option "${name}"`, {
        uri,
        hint: `${guess}There is: ${names.join(', ')}`,
      });
    }
  }

  value(name: string): unknown {
    return this.#own[name];
  }

  whole(name: string, least: number, most: number, usual: number): number {
    const { [name]: value = usual } = this.#own;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    throw this.bad(name, `must be a whole number from ${least} to ${most}, not ${show(value)}`);
  }

  flag(name: string, usual: boolean): boolean {
    const { [name]: value = usual } = this.#own;
    if (typeof value === 'boolean') return value;
    throw this.bad(name, `must be true or false, not ${show(value)}`);
  }

  choice<T extends string>(name: string, choices: readonly T[], usual: T): T {
    const { [name]: value = usual } = this.#own;
    if ((choices as readonly unknown[]).includes(value)) return value as T;
    throw this.bad(name, `must be ${choices.join(' or ')}, not ${show(value)}`);
  }

  text(name: string, most: number): string | undefined {
    const { [name]: value } = this.#own;
    if (value === undefined) return undefined;
    const isText = typeof value === 'string' && value !== '' && faultIn(value) === undefined;
    if (isText && Buffer.byteLength(value) <= most) return value;
    throw this.bad(name, `must be a text of 1 to ${most} bytes, not ${show(value)}`);
  }

  /** Options within this one. */
  group(name: string, names: readonly string[]): Given {
    const { [name]: value = {} } = this.#own;
    if (typeof value !== 'object' || value === null) throw this.bad(name, `must be an object, not ${show(value)}`);
    return new Given(this.#uri, value, names, `option ${name}`);
  }

  /** An option that only these destinations have; false is what they all do without it. */
  only(name: string, isThere: boolean, destinations: string): void {
    const { [name]: value } = this.#own;
    if (isThere || value === undefined || value === false) return;
    throw this.bad(name, `is there for ${destinations} only`, `Leave it out, or write to ${destinations}.`);
  }

  bad(name: string, what: string, hint = HINT): CaptureError {
    return new CaptureError('RINGTAP_BAD_OPTION', `${this.#uri}: option ${name} ${what}`, { uri: this.#uri, hint });
  }
}

/** The path of a file that is to be written. */
export function pathOf(path: unknown): string {
  if (typeof path === 'string' && path !== '') {
    const fault = faultIn(path);
    if (fault === undefined) return path.replace(/^file:/i, '');
    throw new CaptureError('RINGTAP_BAD_URI', `${path}: ${fault}`, { hint: 'Give the path of the file to write.' });
  }
  throw new CaptureError('RINGTAP_BAD_URI', `a file has a path, not ${show(path)}`, {
    hint: 'Give the path of the file to write.',
  });
}
