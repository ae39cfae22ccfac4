import { arch, cpus, release, type } from 'node:os';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { NativeInterface } from '../native/native.js';
import { ownOptions } from '../uri/options.js';
import { faultIn } from '../uri/uri.js';

/** What the packets of a pcapng trace come from: its interface block. Texts have up to 4096 bytes. */
export interface WriterInterface {
  /** Such as `eth0`. */
  name?: string | undefined;
  /** What it is, for people. */
  description?: string | undefined;
  /** The filter that was in force, as text. */
  filter?: string | undefined;
  /** Speed of the link in bits a second. */
  bitsPerSecond?: number | undefined;
}

const TEXTS = ['name', 'description', 'filter'] as const;
const NAMES: readonly string[] = [...TEXTS, 'bitsPerSecond'];
const MOST_TEXT_BYTES = 4096;

/** `interface` of a writer, as the addon takes it. */
export function readInterface(uri: string, value: unknown): NativeInterface | undefined {
  if (value === undefined) return undefined;
  const own = ownOptions({ uri }, value, `option interface is an object { ${NAMES.join(', ')} }`);
  const bad = (what: string) => new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option interface${what}`, { uri });
  for (const name of Object.keys(own)) {
    if (NAMES.includes(name)) continue;
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `${uri}: interface has no option "${name}"`, {
      uri,
      hint: `Options of interface: ${NAMES.join(', ')}`,
    });
  }
  const text = (name: string): string | undefined => {
    const value = own[name];
    if (value === undefined || isText(value, MOST_TEXT_BYTES)) return value;
    throw bad(`.${name} must be text of 1 to ${MOST_TEXT_BYTES} bytes, not ${show(value)}`);
  };
  const { bitsPerSecond } = own;
  if (bitsPerSecond !== undefined && !(Number.isSafeInteger(bitsPerSecond) && (bitsPerSecond as number) > 0)) {
    throw bad(`.bitsPerSecond must be a whole number above 0, not ${show(bitsPerSecond)}`);
  }
  return {
    name: text('name'),
    description: text('description'),
    filter: text('filter'),
    bitsPerSecond: bitsPerSecond as number | undefined,
  };
}

/** Text that a pcapng option can hold. */
export function isText(value: unknown, mostBytes: number): value is string {
  return (
    typeof value === 'string' && value !== '' && faultIn(value) === undefined && Buffer.byteLength(value) <= mostBytes
  );
}

/** This host, as the section header of a pcapng trace has it. */
export function describeHost(): { hardware: string; os: string } {
  return { hardware: cpus()[0]?.model.trim() || arch(), os: `${type()} ${release()}` };
}

/** Types of secrets as pcapng numbers them. */
export const SECRETS: Readonly<Record<string, number>> = { tls: 0x544c534b, ssh: 0x5353484b, wireguard: 0x57474b4c };
