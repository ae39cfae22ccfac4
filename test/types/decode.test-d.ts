// The public names of ringtap/decode and their types.
import type { Batch } from 'ringtap';
import {
  type ABSENT,
  Decoded,
  DecodeFlags,
  decode,
  decodePacket,
  ipv6Text,
  macText,
  type PacketPlace,
} from 'ringtap/decode';
import { expectTypeOf, test } from 'vitest';

test('functions have the types that the documentation gives', () => {
  expectTypeOf(decode).parameters.toEqualTypeOf<[batch: Batch, into?: Decoded]>();
  expectTypeOf(decode).returns.toEqualTypeOf<Decoded>();
  expectTypeOf(decodePacket).parameters.toEqualTypeOf<[bytes: Uint8Array, place?: PacketPlace, into?: Decoded]>();
  expectTypeOf(ipv6Text).returns.toEqualTypeOf<string>();
  expectTypeOf(macText).parameters.toEqualTypeOf<[bytes: Uint8Array, at?: number, length?: number]>();
  expectTypeOf(Decoded).constructorParameters.toEqualTypeOf<[capacity: number]>();
});

test('columns are typed arrays, flags are numbers that TypeScript knows, and nothing internal is declared', () => {
  expectTypeOf<Decoded['srcPort']>().toEqualTypeOf<Uint16Array>();
  expectTypeOf<Decoded['src4']>().toEqualTypeOf<Uint32Array>();
  expectTypeOf<Decoded['src']>().toEqualTypeOf<(i: number) => string>();
  expectTypeOf(DecodeFlags.ports).toEqualTypeOf<1>();
  expectTypeOf<typeof ABSENT>().toEqualTypeOf<2147483647>();
  expectTypeOf<Decoded>().not.toHaveProperty('memory');
  // @ts-expect-error: a wire length is a number
  void decodePacket(new Uint8Array(60), { wirelen: '60' });
});
