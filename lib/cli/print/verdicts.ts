// What decoding found wrong with a packet, in words.
import { DecodeFlags } from '../../decode/index.js';

const WORDS: readonly (readonly [flag: number, words: string])[] = [
  [DecodeFlags.cut, 'the captured bytes end within a header (snaplen)'],
  [DecodeFlags.payloadCut, 'not all of the payload was captured (snaplen)'],
  [DecodeFlags.missing, 'IP claims more bytes than the frame had on the wire'],
  [DecodeFlags.noRoom, 'a length field ends within a header'],
  [DecodeFlags.badVersion, 'IP of neither version 4 nor 6, or not of the version that the link header announces'],
  [DecodeFlags.badHeaderLength, 'the header length of IPv4 or TCP is below its least, or that of TCP beyond IP'],
  [DecodeFlags.badLength, 'a length that cannot be: below its own header, or beyond what is around it'],
  [DecodeFlags.badExtension, 'a hop-by-hop header that does not follow the IPv6 header'],
  [DecodeFlags.unknownLink, 'the link type is not decoded'],
  [DecodeFlags.outside, 'the packet lies outside the memory of its batch'],
];

/** A line for each thing that is wrong. */
export function verdicts(flags: number): string[] {
  return WORDS.flatMap(([flag, words]) => {
    if ((flags & flag) === 0) return [];
    const what =
      flag & DecodeFlags.incomplete ? 'Incomplete' : flag & DecodeFlags.malformed ? 'Malformed' : 'Not decoded';
    return [`${what}: ${words}`];
  });
}
