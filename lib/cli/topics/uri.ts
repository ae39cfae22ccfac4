// `ringtap help uri [scheme]`, from the table that URIs are checked with.
import { BACKENDS, type BackendSchema, type OptionSchema } from '../../generated/schema.js';
import { UsageError } from '../errors.js';
import { entry, paragraph } from '../text.js';

const TARGETS: Readonly<Record<BackendSchema['target'], string>> = {
  interface: 'eth0',
  device: 'DEVICE',
  host: '//HOST:PORT',
  path: 'trace.pcapng',
  none: '',
};
/** Of those that say it in a way of their own. */
const EXACTLY: Readonly<Record<string, string>> = {
  mirror: '//address[:port]',
  rpcap: '//host[:port]/interface',
};
const BINARY = [
  [2 ** 30, 'G'],
  [2 ** 20, 'M'],
  [2 ** 10, 'k'],
] as const;

export function helpUri(scheme: string | undefined): string {
  return scheme === undefined ? all() : one(scheme);
}

function all(): string {
  const rows = BACKENDS.map(({ name, aliases, title }) => {
    const also = aliases.length === 0 ? '' : `; also ${aliases.map((alias) => `${alias}:`).join(' ')}`;
    return [`  ${name}:`, `${title}${also}`] as const;
  });
  return [
    'scheme:target?option=value&option=value',
    '',
    ...[
      ['  auto:', 'the best method that leaves the host’s traffic alone; the same as a bare eth0'] as const,
      ...rows,
    ].map(([name, text]) => entry(name, 14, text)),
    '',
    paragraph(
      'A bare interface means auto:, a bare path or - means file:. Quote a URI for the shell: "?" and "&" mean something to it. ' +
        'Booleans are true and false, whole numbers may end in k, M or G. Behind the scheme, ? and % are written %3F and %25, ' +
        'and in values & is %26. An option may also be given as -o name=value.',
    ),
    '',
    'ringtap help uri SCHEME lists the options of a scheme.',
    '',
  ].join('\n');
}

function one(asked: string): string {
  const wanted = asked.replace(/:.*/s, '').toLowerCase();
  const schema = BACKENDS.find(({ name, aliases }) => name === wanted || aliases.includes(wanted));
  if (schema === undefined) {
    if (wanted === 'auto') return 'auto: takes the options that its methods have: ringtap help uri afpacket\n';
    const known = BACKENDS.map(({ name }) => name).join(' ');
    throw new UsageError(`there is no scheme "${wanted}:"`, `Known schemes: ${known}`);
  }
  const { name, title, target, platforms, options, fallback } = schema;
  // WHY: vxlan:// and the others are what people write, and mirror:// is none of them.
  const lines = [`${name === 'mirror' ? wanted : name}:${EXACTLY[name] ?? TARGETS[target]}   ${title}`, ''];
  if (!platforms.includes(process.platform)) lines.push(`It does not exist on ${process.platform}.`, '');
  if (schema.takesTraffic) lines.push(paragraph('Packets that the filter matches are taken away from the host.'), '');
  if (fallback.length > 0) {
    const instead = fallback.map((method) => `${method}:`).join(', then ');
    lines.push(paragraph(`Where the host lacks it: ${instead}, unless fallback=false.`), '');
  }
  for (const option of options) lines.push(entry(`  ${option.name}`, 18, `${valuesOf(option)}${option.doc}`));
  return `${lines.join('\n')}\n`;
}

/** "[one of auto, kernel; default auto] " */
function valuesOf({ type, values, all, min, max, unit, default: otherwise }: OptionSchema): string {
  const parts: string[] = [];
  if (type === 'words') parts.push(`${all}, or some of ${values?.join(',')}`);
  else if (values !== undefined) parts.push(`one of ${values.join(', ')}`);
  else if (type === 'boolean') parts.push('true or false');
  else if (min !== undefined && max !== undefined) {
    parts.push(`${rounded(min, unit)} to ${rounded(max, unit)}${unit === undefined ? '' : ` ${unit}`}`);
  }
  if (otherwise !== undefined && otherwise !== '') parts.push(`default ${rounded(otherwise, unit)}`);
  return parts.length === 0 ? '' : `[${parts.join('; ')}] `;
}

/** 67108864 as 64M, as it may be written. */
function rounded(value: number | boolean | string, unit: string | undefined): string {
  if (typeof value !== 'number' || unit !== 'bytes') return String(value);
  const binary = BINARY.find(([size]) => value >= size && value % size === 0);
  return binary === undefined ? String(value) : `${value / binary[0]}${binary[1]}`;
}
