import { readFileSync } from 'node:fs';
import { arch, cpus, release, type } from 'node:os';
import type { NativeInterface } from '../native/native.js';
import type { Plan } from '../plan/plan.js';
import { faultIn } from '../uri/uri.js';

const MOST_BRIEF_BYTES = 1024;

/** Text that a pcapng option can hold. */
export function isText(value: unknown, mostBytes: number): value is string {
  return (
    typeof value === 'string' && value !== '' && faultIn(value) === undefined && Buffer.byteLength(value) <= mostBytes
  );
}

/** What a capture is from, as far as an interface block can hold it. */
export function describeCapture({ target, uri, backend, mode, options, linkType }: Plan): NativeInterface {
  const brief = (text: unknown) => (isText(text, MOST_BRIEF_BYTES) ? text : undefined);
  return {
    name: brief(target) ?? brief(uri),
    description: `${backend}, ${mode}`,
    filter: brief(options.filter),
    bitsPerSecond: speedOf(target),
    linkType,
  };
}

/** Bits a second of an interface of this host, where it has any that is known. */
function speedOf(name: string): number | undefined {
  if (!/^[\w.:-]{1,15}$/.test(name) || /^\.+$/.test(name)) return undefined;
  try {
    const megabits = Number(readFileSync(`/sys/class/net/${name}/speed`, 'latin1'));
    return megabits > 0 && megabits < 2 ** 31 ? megabits * 1_000_000 : undefined;
  } catch {
    return undefined; // none of that name, or it is down
  }
}

/** This host, as the section header of a pcapng trace has it. */
export function describeHost(): { hardware: string; os: string } {
  return { hardware: cpus()[0]?.model.trim() || arch(), os: `${type()} ${release()}` };
}

/** Types of secrets as pcapng numbers them. */
export const SECRETS: Readonly<Record<string, number>> = { tls: 0x544c534b, ssh: 0x5353484b, wireguard: 0x57474b4c };
