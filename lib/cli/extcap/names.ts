// What the captures are called in Wireshark: ringtap-afpacket-eth0 is afpacket:eth0.
import { UsageError } from '../errors.js';

/** The one whose URI is a field of its form. */
export const ANY = 'ringtap';

export function nameOf(scheme: string, target: string): string {
  return `${ANY}-${scheme}-${target}`;
}

/** Both as they were put together; no scheme has a hyphen in it. */
export function splitName(name: string): { scheme: string; target: string } {
  const [, scheme, target] = /^ringtap-([a-z]\w*)-(.+)$/s.exec(name) ?? [];
  if (scheme === undefined) {
    throw new UsageError(`extcap: "${name}" is none of ringtap’s interfaces`, 'List them: tshark -D | grep ringtap');
  }
  return { scheme, target: target! };
}
