// The options of a scheme as the form that Wireshark makes of them.
import { BACKENDS, type BackendSchema, type OptionSchema } from '../../generated/schema.js';

/** What a form has no field for: the filter has one of Wireshark's own, and the rest is no text. */
const NO_FIELD = new Set<OptionSchema['type']>(['filter', 'signal', 'auth']);
/** What an `unsigned` field holds. */
const MOST_UNSIGNED = 2 ** 32 - 1;
/** Fields that a user looks for first; the others are on a tab of their own. */
const USUAL = new Set(['snaplen', 'promiscuous', 'direction', 'bufferBytes', 'timestamp', 'queues', 'mode', 'share']);

/** A line for each field, as extcap(4) has them. */
export function formOf(scheme: string): string[] {
  return fieldsOf(scheme).flatMap(({ schema, call }, number) => field(schema, call, number));
}

/** The options of a URI that a form was filled in with; what is as it always is stays out. @param given by call */
export function optionsOf(scheme: string, given: ReadonlyMap<string, string>): Record<string, string> {
  const options: Record<string, string> = {};
  for (const { schema, call } of fieldsOf(scheme)) {
    const value = given.get(call);
    if (value === undefined || value === '' || value === String(schema.default)) continue;
    options[schema.name] = value;
  }
  return options;
}

function fieldsOf(scheme: string): { schema: OptionSchema; call: string }[] {
  const options: BackendSchema['options'] = BACKENDS.find(({ name }) => name === scheme)?.options ?? [];
  return options
    .filter(({ type, from }) => !NO_FIELD.has(type) && from !== 'object')
    .map((schema) => ({ schema, call: callOf(schema.name) }));
}

/** bufferBytes → --buffer-bytes. WHY not as it is: Wireshark's preferences have no capitals. */
function callOf(name: string): string {
  return `--${wordsOf(name).join('-')}`;
}

function wordsOf(name: string): string[] {
  return name.split(/(?=[A-Z])/).map((word) => word.toLowerCase());
}

function field(schema: OptionSchema, call: string, number: number): string[] {
  const { name, unit, doc, values, default: otherwise } = schema;
  const words = wordsOf(name).join(' ');
  const named = unit === undefined || words.endsWith(unit) ? '' : ` (${unit})`;
  const display = `${words.charAt(0).toUpperCase()}${words.slice(1)}${named}`;
  const attributes: [string, string][] = [
    ['number', String(number)],
    ['call', call],
    ['display', display],
    ['tooltip', doc],
    ...typeOf(schema),
    ...(otherwise === undefined || values !== undefined ? [] : [['default', String(otherwise)] as [string, string]]),
    ['group', USUAL.has(name) ? 'Capture' : 'More'],
  ];
  const choices = (values ?? []).map((value) =>
    line('value', [
      ['arg', String(number)],
      ['value', value],
      ['display', value],
      ['default', String(value === otherwise)],
    ]),
  );
  return [line('arg', attributes), ...choices];
}

function typeOf({ type, min, max }: OptionSchema): [string, string][] {
  if (type === 'choice') return [['type', 'selector']];
  if (type === 'boolean') return [['type', 'boolean']];
  if (type !== 'integer' && type !== 'number') return [['type', 'string']];
  const isLarge = (max ?? Number.POSITIVE_INFINITY) > MOST_UNSIGNED;
  const kind = type === 'number' ? 'double' : (min ?? 0) < 0 ? 'integer' : isLarge ? 'long' : 'unsigned';
  return min === undefined || max === undefined
    ? [['type', kind]]
    : [
        ['type', kind],
        ['range', `${min},${max}`],
      ];
}

/** `arg {number=0}{call=--snaplen}`. A value ends at the first brace, so it has none. */
export function line(what: string, attributes: readonly (readonly [string, string])[]): string {
  const text = (value: string) => value.replaceAll('{', '(').replaceAll('}', ')').replace(/\s+/g, ' ');
  return `${what} ${attributes.map(([name, value]) => `{${name}=${text(value)}}`).join('')}`;
}
