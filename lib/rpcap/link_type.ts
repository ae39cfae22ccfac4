// A daemon tells the link type by its own system's number, which differs from that of traces for a few.
const DIFFERENT: ReadonlyMap<number, number> = new Map([
  [11, 100], // ATM RFC 1483
  [12, 101], // raw IP; 14 on OpenBSD
  [13, 102], // SLIP, BSD/OS
  [14, 101],
  [16, 103], // PPP, BSD/OS
  [18, 246], // PFSYNC
  [19, 106], // Classical IP over ATM
]);

/** LINKTYPE_ value of a DLT_ value. */
export function linkTypeOf(dlt: number): number {
  return DIFFERENT.get(dlt) ?? dlt;
}

/** DLT_ value, as Linux has it, of a LINKTYPE_ value. */
export function dltOf(linkType: number): number {
  return OF_LINUX.get(linkType) ?? linkType;
}

const OF_LINUX: ReadonlyMap<number, number> = new Map([
  [100, 11],
  [101, 12],
  [106, 19],
  [246, 18],
]);
