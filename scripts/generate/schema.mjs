// lib/generated/schema.ts: the options as the library checks them.
import { backends, note, opening } from './tables.mjs';

const schemas = backends.map((b) => ({
  name: b.name,
  title: b.title,
  aliases: b.aliases,
  aliasOptions: b.aliasOptions ?? {},
  native: b.native,
  target: b.target,
  ownTarget: b.ownTarget,
  platforms: b.platforms,
  fallback: b.fallback ?? [],
  takesTraffic: b.takesTraffic ?? false,
  transmits: b.transmits ?? false,
  shares: b.shares ?? false,
  auto: b.auto,
  rest: b.rest,
  options: b.options,
}));

export const schema = `// ${note}
import type { BackendName } from './options.js';

/** How one option is checked. */
export interface OptionSchema {
  readonly name: string;
  readonly type:
    | 'integer'
    | 'number'
    | 'boolean'
    | 'string'
    | 'choice'
    | 'filter'
    | 'signal'
    | 'queues'
    | 'auth'
    | 'tls'
    | 'words'
    | 'time';
  readonly min?: number;
  readonly max?: number;
  readonly default?: number | boolean | string;
  readonly unit?: string;
  readonly values?: readonly string[];
  /** Of words: the one that stands for all of them. */
  readonly all?: string;
  /** Queues that may be named, where it is not any number of them. */
  readonly most?: number;
  /** Queues are 0 to the last one, without a gap, and never all. */
  readonly fromZero?: boolean;
  /** Given, and not what it is by default, it makes the target one that no other method can read. */
  readonly ownTarget?: boolean;
  /** Older names, and how their values are read: the same, or as a count of queues. */
  readonly was?: Readonly<Record<string, 'same' | 'count'>>;
  /** Only the options object may set it: a URI is text from anywhere. */
  readonly from?: 'object';
  readonly doc: string;
}

/** What the library knows about a backend before loading it. */
export interface BackendSchema {
  readonly name: BackendName;
  readonly title: string;
  readonly aliases: readonly string[];
  /** Options that an alias stands for, where they are not given. */
  readonly aliasOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Whose native code it is, where it has none of its own: bytes that come another way. */
  readonly native?: BackendName;
  readonly target: 'interface' | 'path' | 'device' | 'host' | 'none';
  /** Characters that make a target one which no other method can read. */
  readonly ownTarget?: string;
  readonly platforms: readonly string[];
  readonly fallback: readonly BackendName[];
  readonly takesTraffic: boolean;
  /** Whether it can send, on some of its targets at least. */
  readonly transmits: boolean;
  /** Whether it shares packets out itself, among readers with a ring each. */
  readonly shares: boolean;
  /** Its place among the methods that \`auto:\` tries. */
  readonly auto?: number;
  /** The option that takes the URI's parameters which are no options. */
  readonly rest?: string;
  readonly options: readonly OptionSchema[];
}

export const OPEN_OPTIONS: readonly string[] = ${JSON.stringify(opening.map(({ name }) => name))};

/** Without a prototype: what is planted in Object.prototype is no part of a schema. */
const own = <T extends object>(schema: T): T => Object.setPrototypeOf(schema, null);

export const BACKENDS: readonly BackendSchema[] = ${JSON.stringify(schemas, null, 2)}.map(
  ({ options, ...backend }) => own({ ...backend, options: options.map(own) }) as BackendSchema,
);
`;
