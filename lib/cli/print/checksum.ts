// Checksums of the internet (RFC 1071), and what there is to say of one.

/** The sum of the big-endian words from `from` to `end`, `sum` included; not folded. */
export function summed(bytes: Uint8Array, from: number, end: number, sum = 0): number {
  let total = sum;
  for (let at = from; at + 1 < end; at += 2) total += (bytes[at]! << 8) | bytes[at + 1]!;
  if ((end - from) & 1) total += bytes[end - 1]! << 8;
  return total;
}

/** @param sum of all that it is of, itself included @param stated what stands in the packet */
export function verdictOf(sum: number, stated: number): string {
  const hex = (value: number) => `0x${value.toString(16).padStart(4, '0')}`;
  // A packet of 64 KiB has no sum beyond 2^32.
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  if (folded === 0xffff) return `checksum ${hex(stated)} (correct)`;
  let without = sum - stated;
  while (without > 0xffff) without = (without % 0x10000) + Math.floor(without / 0x10000);
  return `checksum ${hex(stated)} (WRONG, ${hex(~without & 0xffff)} is correct, or the network card fills it in)`;
}
