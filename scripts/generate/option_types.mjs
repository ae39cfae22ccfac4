// lib/generated/options.ts: what open() takes, scheme by scheme.
import { backends, common, note, opening, range, typeName } from './tables.mjs';
import { traceSuffixes } from './trace_names.mjs';

const tsType = (o) =>
  ({
    integer: 'number',
    number: 'number',
    boolean: 'boolean',
    string: 'string',
    filter: 'string | FilterProgram',
    signal: 'AbortSignal',
    auth: 'RemoteAuth',
    time: 'string | number | Date',
    tls: 'boolean | TlsOptions',
    // In an editor the words that a text may be are worth showing.
    queues: queuesType(o),
    words: o.type === 'words' ? `'${o.all}' | readonly TunnelKind[] | (string & {})` : '',
  })[o.type] ?? o.values.map((v) => `'${v}'`).join(' | ');

/** A mere number is one queue, and no count of them: of a scheme whose queues begin at 0 it can be the first alone. */
function queuesType({ fromZero, most }) {
  if (fromZero) return '0 | readonly number[] | (string & {})';
  return `number | readonly ${most === 1 ? '[number]' : 'number[]'} | 'all' | (string & {})`;
}

const member = (o, facts, type = tsType(o)) => {
  const known = facts.filter(Boolean).join('; ');
  return `  /** ${o.doc}${known === '' ? '' : ` (${known})`} */\n  ${o.name}?: ${type} | undefined;`;
};

const facts = (o) => [
  o.unit && `in ${o.unit}`,
  o.min !== undefined && o.type !== 'queues' && `range ${range(o)}`,
  o.default !== undefined && o.default !== '' && `default ${o.default}`,
  o.from === 'object' && 'not in a URI',
];

/** "default 10 (afpacket, pcap), 1 (afxdp)" of all schemes that take the option. */
function defaults({ name }) {
  const by = new Map();
  for (const backend of backends) {
    const option = backend.options.find((o) => o.name === name);
    if (option === undefined) continue;
    const key = option.default ?? 'none';
    by.set(key, [...(by.get(key) ?? []), backend.name]);
  }
  if (by.size === 0 || (by.size === 1 && by.has('none'))) return [`taken by ${[...by.values()].flat().join(', ')}`];
  return [`default ${[...by].map(([value, names]) => `${value} (${names.join(', ')})`).join(', ')}`];
}

/** What at least one of the schemes takes. */
const unionOf = (options) => {
  const parts = new Set(options.flatMap((o) => tsType(o).split(' | ')));
  for (const [wide, narrow] of [
    ['(string & {})', 'string'],
    ['number', '0'],
    ['readonly number[]', 'readonly [number]'],
  ]) {
    if (parts.has(wide)) parts.delete(narrow);
  }
  return [...parts].join(' | ');
};

/** "afxdp: …; dpdk: …": where each scheme has a meaning of its own. */
const meanings = (name) =>
  backends.flatMap((b) => b.options.filter((o) => o.name === name).map(({ doc }) => `${b.name}: ${doc}`)).join(' ');

/** What more than one scheme takes, in the order of the table of common options. */
const shared = [...new Set([...common, ...backends.flatMap((b) => b.options)].map(({ name }) => name))]
  .map((name) => ({ name, taken: backends.flatMap((b) => b.options.filter((o) => o.name === name)) }))
  .filter(({ taken }) => taken.length > 1)
  .map(({ name, taken }) => ({
    ...(common.find((o) => o.name === name) ?? { name, doc: meanings(name) }),
    type: unionOf(taken),
  }));

const tunnels = common.find(({ name }) => name === 'decap').values;

const titleOf = (name) => backends.find((b) => b.name === name).title;

const schemes = [
  ...backends.flatMap((b) => [b.name, ...b.aliases].map((scheme) => [scheme, b.name])),
  // The best method that leaves the host's traffic alone, whose options are the first one's.
  ['auto', backends.find(({ auto }) => auto === 1).name],
];

export const optionTypes = `// ${note}

/** A classic-BPF program: one [code, jt, jf, k] per instruction, as \`tcpdump -dd\` prints it. */
export type FilterProgram = readonly (readonly [code: number, jt: number, jf: number, k: number])[];

/** A kind of tunnel that \`decap\` opens: \`gtp-u\` is the user plane of GTP version 1, and \`gre\` stands for GRE-TAP and NVGRE, too. */
export type TunnelKind = ${tunnels.map((word) => `'${word}'`).join(' | ')};

/** A user whom the daemon of another host knows. */
export interface RemoteAuth {
  /** The name, as UTF-8 up to 65535 bytes long. */
  readonly user: string;
  /** The password; sent as it is. */
  readonly password: string;
}

/**
 * TLS with another host: how each end is known to be itself. PEM is what the file holds, as text or bytes. Members that
 * are not given are as Node.js has them.
 */
export interface TlsOptions {
  /**
   * PEM of those whose signature is trusted, instead of those that Node.js trusts. At a server: who signs the
   * certificates of its clients, each of which has to show one then.
   */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /** PEM of our own certificate, with those between it and its authority: for a server, and a client that is asked. */
  readonly cert?: string | Uint8Array | undefined;
  /** PEM of its private key. */
  readonly key?: string | Uint8Array | undefined;
  /** What the key is encrypted with. */
  readonly passphrase?: string | undefined;
  /**
   * SHA-256 of the other end's certificate, in hexadecimal digits with or without colons, or several of which it may be
   * any: whoever signed it and whatever its name, unless \`ca\` is given, too.
   */
  readonly fingerprint?: string | readonly string[] | undefined;
  /** true accepts any certificate: everybody on the way can read and change what is sent. */
  readonly insecure?: boolean | undefined;
  /** The name in the other end's certificate, where it is not the one in the URI. */
  readonly serverName?: string | undefined;
}

/** What \`open()\` itself takes, for every scheme. */
export interface OpeningOptions {
${opening.map((o) => member(o, facts(o))).join('\n')}
}

/**
 * The options that more than one scheme takes, each with every value that one of them takes: for a URI whose scheme is
 * known only when the program runs. Whether this scheme takes it, and this value, is checked then. What only one takes
 * can be given as the URI's parameter. Where the scheme is known, its own options are more exact ({@link OptionsOf}).
 */
export interface OpenOptions extends OpeningOptions {
${shared.map((o) => member(o, [o.unit && `in ${o.unit}`, ...defaults(o)], o.type)).join('\n')}
}

${backends
  .map(
    (b) => `/** Options of \`${b.name}:\` (${b.title}). */
export interface ${typeName(b)} extends OpeningOptions {
${b.options.map((o) => member(o, facts(o))).join('\n')}
}`,
  )
  .join('\n\n')}

/** Options of every capture method by its name. */
export interface BackendOptions {
${backends.map((b) => `  /** ${b.title} */\n  ${b.name}: ${typeName(b)};`).join('\n')}
}

/** The name of a capture method that this version knows. */
export type BackendName = keyof BackendOptions;

/** A capture method that a URI can name. */
export type MethodName = BackendName;

/** What each scheme of a URI leads to first. */
export interface Schemes {
${schemes.map(([scheme, name]) => `  /** ${titleOf(name)} */\n  ${/^\w+$/.test(scheme) ? scheme : `'${scheme}'`}: '${name}';`).join('\n')}
}

/**
 * The options that \`open()\`, \`explain()\` and \`openTransmitter()\` take with a URI of this type: those of its scheme;
 * {@link OpenOptions} where TypeScript cannot tell the scheme, as of a \`string\`, or where there are several.
 * @example
 * function opened<U extends string>(uri: U, options?: OptionsOf<U>) {
 *   return open(uri, options);
 * }
 * console.log((await opened('synth:?count=100', { seed: 7 })).plan.options);
 */
export type OptionsOf<Uri extends string> = Of<MethodOf<Uri>>;

type Of<Method> = Method extends BackendName ? BackendOptions[Method] : OpenOptions;

/** The one method that all URIs of the type lead to; null where it is not known, or not one. */
type MethodOf<Uri extends string> = One<Uri extends unknown ? MethodOfOne<Uri> : never>;

type One<Method> = [Method] extends [BackendName] ? (IsUnion<Method> extends true ? null : Method) : null;

type IsUnion<T, Whole = T> = [T] extends [never] ? true : T extends unknown ? ([Whole] extends [T] ? false : true) : never;

type MethodOfOne<Uri extends string> = Uri extends \`\${infer First}\${string}\`
  ? string extends First // something that begins with any text
    ? null
    : Uri extends \`\${infer Scheme}:\${string}\`
      ? string extends Scheme
        ? null
        : Lowercase<Scheme> extends keyof Schemes
          ? Schemes[Lowercase<Scheme>]
          : Scheme extends \`\${string}?\${string}\`
            ? BareMethod<Uri>
            : Uri extends Path
              ? 'file'
              : null
      : BareMethod<Uri>
  : null;

type Path = \`\${string}\${'/' | '\\\\'}\${string}\`;

/** A path or an interface, without a scheme. */
type BareMethod<Uri extends string> = Uri extends '-' | Path
  ? 'file'
  : Lowercase<Uri> extends \`\${string}.\${${traceSuffixes}}\`
    ? 'file'
    : Schemes['auto'];
`;
