// Takes the loader out of the libraries that a binary asks for. WHY: glibc's is in every process that has glibc, and musl, which
// takes glibc's other libraries for names of itself, knows it by none.
import { readFileSync, writeFileSync } from 'node:fs';

const DYNAMIC = 2;
const NULL = 0n;
const NEEDED = 1n;
const STRINGS = 5n;
const ENTRY = 16;

/** @param file a 64-bit, little-endian ELF of a shared library, changed in place */
export function withoutLoader(file) {
  const elf = readFileSync(file);
  const number = (at) => Number(elf.readBigUInt64LE(at));
  const headers = Array.from({ length: elf.readUInt16LE(0x38) }, (_, i) => number(0x20) + i * elf.readUInt16LE(0x36));
  const segments = headers.map((at) => ({
    type: elf.readUInt32LE(at),
    offset: number(at + 8),
    address: number(at + 16),
    size: number(at + 32),
  }));
  const offsetOf = (address) => {
    const segment = segments.find((one) => address >= one.address && address < one.address + one.size);
    return address - segment.address + segment.offset;
  };
  const { offset, size } = segments.find(({ type }) => type === DYNAMIC);
  const tags = Array.from({ length: size / ENTRY }, (_, i) => elf.readBigUInt64LE(offset + i * ENTRY));
  const strings = offsetOf(number(offset + tags.indexOf(STRINGS) * ENTRY + 8));
  const end = offset + (tags.indexOf(NULL) + 1) * ENTRY;
  for (const [i, tag] of tags.entries()) {
    if (tag !== NEEDED) continue;
    const at = offset + i * ENTRY;
    const name = strings + number(at + 8);
    if (elf.toString('latin1', name, elf.indexOf(0, name)).startsWith('ld-linux')) {
      elf.copyWithin(at, at + ENTRY, end); // the last entry, which is empty, is there twice then
      break;
    }
  }
  writeFileSync(file, elf);
}
