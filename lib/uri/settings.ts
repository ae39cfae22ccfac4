import { CaptureError, warn } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { FilterProgram, MethodName, OpenOptions, RemoteAuth } from '../generated/options.js';
import { type BackendSchema, OPEN_OPTIONS, type OptionSchema } from '../generated/schema.js';
import { nearestName } from './nearest.js';
import { bad } from './options.js';
import { firstQueues } from './queues.js';
import { checkTls, type TlsSettings } from './tls.js';
import { type ParsedUri, schemaOf } from './uri.js';
import { check, checkAuth, checkFilter, guarded, type OptionValue } from './values.js';

/** Options after validation: defaults filled in, every value of the type its schema says. */
export interface Settings {
  readonly values: Readonly<Record<string, OptionValue>>;
  readonly filter: string | FilterProgram | undefined;
  /** Apart from the values, which plans show. */
  readonly auth: RemoteAuth | undefined;
  /** Apart from the values, too. Nothing where none was asked for. */
  readonly tls: TlsSettings | undefined;
  /** What was given but means nothing to this backend, as a note says it; only after a fallback. */
  readonly ignored: readonly string[];
}

/**
 * Checks that every name is one that `open()` or the named backend knows, and every value is valid.
 * @param asked the backend that the URI asks for: what another one lacks is left out
 */
export function settingsOf(parsed: ParsedUri, options: OpenOptions, backend: MethodName, asked = backend): Settings {
  const schema = schemaOf(backend);
  if (schema === undefined) return { values: {}, filter: undefined, auth: undefined, tls: undefined, ignored: [] };
  const lenient = backend !== asked;
  const given = new Map<string, unknown>(parsed.params);
  for (const [name, value] of Object.entries(options)) if (value !== undefined) given.set(name, value);
  rename(parsed, given, schemaOf(asked));

  const values: Record<string, OptionValue> = {};
  const ignored: string[] = [];
  const rest: string[] = [];
  let filter: Settings['filter'];
  let auth: Settings['auth'];
  let tls: Settings['tls'];
  for (const option of schema.options) {
    if (option.default !== undefined) values[option.name] = check(parsed, option, option.default);
  }
  for (const [name, value] of given) {
    if (OPEN_OPTIONS.includes(name)) continue;
    const option = schema.options.find((candidate) => candidate.name === name);
    if (option === undefined) {
      if (schema.rest !== undefined && parsed.params.has(name) && !Object.hasOwn(options, name)) {
        rest.push(`${name}=${value}`);
        continue;
      }
      if (!lenient) throw unknownOption(parsed, name, backend, schema.options);
      ignored.push(`has no option ${name}`);
    } else if (option.from === 'object' && parsed.params.has(name)) {
      throw bad(parsed, name, 'goes into the options object, not the URI');
    } else if (option.type === 'filter') {
      filter = guarded(parsed, name, () => checkFilter(parsed, value));
    } else if (option.type === 'auth') {
      auth = guarded(parsed, name, () => checkAuth(parsed, value));
    } else if (option.type === 'tls') {
      tls = guarded(parsed, name, () => checkTls(parsed, value));
    } else {
      try {
        values[name] = guarded(parsed, name, () => check(parsed, option, value));
      } catch (error) {
        if (!lenient) throw error;
        ignored.push(`does not take ${name}=${show(value)}`);
      }
    }
  }
  // What the schema does not know goes on to the driver behind the backend.
  if (schema.rest !== undefined && rest.length > 0) {
    values[schema.rest] = [...rest, values[schema.rest]].filter((part) => part !== '').join(',');
  }
  return { values, filter, auth, tls, ignored };
}

const warnedOf = new Set<string>();

/** Puts what was given by an older name under its present one. The first time a process hears of it. */
function rename(parsed: ParsedUri, given: Map<string, unknown>, schema: BackendSchema | undefined): void {
  for (const option of schema?.options ?? []) {
    for (const [old, how] of Object.entries(option.was ?? {})) {
      if (!given.has(old)) continue;
      if (given.has(option.name)) {
        throw bad(parsed, old, `is what ${option.name} was called: give one of them`);
      }
      const value = given.get(old);
      const count = { ...option, name: old, type: 'integer', min: 1, max: (option.max ?? 65535) + 1 } as const;
      given.set(
        option.name,
        how === 'count' ? guarded(parsed, old, () => firstQueues(check(parsed, count, value) as number)) : value,
      );
      given.delete(old);
      if (warnedOf.has(`${schema?.name}:${old}`)) continue;
      warnedOf.add(`${schema?.name}:${old}`);
      const now = how === 'count' ? `${option.name} (${old}=4 is ${option.name}=0-3)` : option.name;
      warn('RINGTAP_RENAMED_OPTION', `${schema?.name}: the option ${old} is called ${now} now`, 'DeprecationWarning');
    }
  }
}

function unknownOption(
  parsed: ParsedUri,
  name: string,
  backend: MethodName,
  options: readonly OptionSchema[],
): CaptureError {
  // A URI and a command line can give no signal.
  const opening = OPEN_OPTIONS.filter((option) => option !== 'signal');
  const names = [...options.map((option) => option.name), ...opening];
  const near = nearestName(name, names);
  const guess = near === undefined ? '' : `Did you mean "${near}"? `;
  return new CaptureError('RINGTAP_UNKNOWN_OPTION', `${parsed.uri}: ${backend} has no option "${name}"`, {
    uri: parsed.uri,
    backend,
    hint: `${guess}Options of ${backend}: ${names.join(', ')}`,
  });
}
