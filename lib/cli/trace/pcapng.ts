// What a pcapng file says beside its packets: sections, interfaces, comments, counts of losses.
import { closeSync, openSync, readSync } from 'node:fs';

export interface Interface {
  readonly section: number;
  readonly linkType: number;
  readonly snaplen: number;
  name?: string;
  description?: string;
  filter?: string;
  os?: string;
  hardware?: string;
  speed?: string;
  packets: number;
  /** By its statistics, where the file has any; as text, as a number would round them. */
  received?: string;
  dropped?: string;
  droppedByOs?: string;
}

export interface Described {
  sections: number;
  hardware?: string;
  os?: string;
  application?: string;
  readonly interfaces: Interface[];
  /** Of sections and interfaces, and how many packets have one. */
  readonly comments: string[];
  packetComments: number;
  nameResolutions: number;
  secrets: number;
  /** Packets that the file says were lost right before others. */
  droppedBetween: string;
}

const PIECE = 1 << 20;
/** A block that is looked into: what is longer is passed over, as far as it is no packet. */
const MOST_BLOCK = 16 << 20;
const MOST_COMMENTS = 100;
const Block = {
  section: 0x0a0d0d0a,
  interface: 1,
  names: 4,
  statistics: 5,
  packet: 6,
  simple: 3,
  obsolete: 2,
  secrets: 10,
};

/** Looks at each block of the file; at damage it stops, and says what came before. */
export function describePcapng(file: string): Described {
  const scan = new Scan();
  const fd = openSync(file, 'r');
  try {
    let held = Buffer.alloc(0);
    let position = 0;
    for (;;) {
      const piece = Buffer.allocUnsafe(held.length + PIECE);
      held.copy(piece);
      const n = readSync(fd, piece, held.length, PIECE, position + held.length);
      const data = piece.subarray(0, held.length + n);
      const used = scan.look(data);
      if (used < 0 || n === 0) break;
      position += used;
      held = used < data.length ? data.subarray(used) : Buffer.alloc(0);
    }
  } finally {
    closeSync(fd);
  }
  return scan.described();
}

class Scan {
  readonly #found: Described = {
    sections: 0,
    interfaces: [],
    comments: [],
    packetComments: 0,
    nameResolutions: 0,
    secrets: 0,
    droppedBetween: '0',
  };
  #isLittle = true;
  /** Where the interfaces of the section begin. */
  #first = 0;
  #dropped = 0n;

  described(): Described {
    this.#found.droppedBetween = String(this.#dropped);
    return this.#found;
  }

  /** @returns bytes of whole blocks that were looked at, or to pass over; -1 at damage */
  look(data: Buffer): number {
    let at = 0;
    while (at + 12 <= data.length) {
      const type = this.#isLittle ? data.readUInt32LE(at) : data.readUInt32BE(at);
      if (type === Block.section) {
        const magic = data.readUInt32LE(at + 8);
        if (magic !== 0x1a2b3c4d && magic !== 0x4d3c2b1a) return -1;
        this.#isLittle = magic === 0x1a2b3c4d;
      }
      const total = this.#u32(data, at + 4);
      if (total < 12 || total % 4 !== 0) return -1;
      if (at + total > data.length) return total > MOST_BLOCK ? -1 : at;
      this.#block(type, data, at, total);
      at += total;
    }
    return at;
  }

  #block(type: number, data: Buffer, at: number, total: number): void {
    const end = at + total - 4;
    if (type === Block.packet) {
      const found = this.#found.interfaces[this.#first + this.#u32(data, at + 8)];
      if (found !== undefined) found.packets++;
      const options = at + 28 + ((this.#u32(data, at + 20) + 3) & ~3);
      if (options + 4 <= end) this.#packetOptions(data, options, end);
    } else if (type === Block.simple || type === Block.obsolete) {
      const index = type === Block.simple ? 0 : this.#u16(data, at + 8);
      const found = this.#found.interfaces[this.#first + index];
      if (found !== undefined) found.packets++;
    } else if (type === Block.section) {
      this.#found.sections++;
      this.#first = this.#found.interfaces.length;
      this.#each(data, at + 24, end, (code, value) => {
        if (code === 2) this.#found.hardware ??= value.toString();
        if (code === 3) this.#found.os ??= value.toString();
        if (code === 4) this.#found.application ??= value.toString();
      });
    } else if (type === Block.interface) {
      this.#interface(data, at, end);
    } else if (type === Block.statistics) {
      const found = this.#found.interfaces[this.#first + this.#u32(data, at + 8)];
      if (found === undefined) return;
      this.#each(data, at + 20, end, (code, value) => {
        if (value.length !== 8) return;
        if (code === 4) found.received = this.#u64(value);
        if (code === 5) found.dropped = this.#u64(value);
        if (code === 7) found.droppedByOs = this.#u64(value);
      });
    } else if (type === Block.names) {
      this.#found.nameResolutions++;
    } else if (type === Block.secrets) {
      this.#found.secrets++;
    }
  }

  #interface(data: Buffer, at: number, end: number): void {
    const found: Interface = {
      section: this.#found.sections - 1,
      linkType: this.#u16(data, at + 8),
      snaplen: this.#u32(data, at + 12),
      packets: 0,
    };
    this.#each(data, at + 16, end, (code, value) => {
      if (code === 2) found.name = value.toString();
      if (code === 3) found.description = value.toString();
      if (code === 8 && value.length === 8) found.speed = this.#u64(value);
      if (code === 11) found.filter = value.subarray(1).toString();
      if (code === 12) found.os = value.toString();
      if (code === 15) found.hardware = value.toString();
    });
    this.#found.interfaces.push(found);
  }

  #packetOptions(data: Buffer, at: number, end: number): void {
    this.#each(
      data,
      at,
      end,
      (code, value) => {
        if (code === 1) this.#found.packetComments++;
        if (code === 4 && value.length === 8) this.#dropped += BigInt(this.#u64(value));
      },
      false,
    );
  }

  /** The options in [at, end); comments of what is no packet are kept. */
  #each(data: Buffer, at: number, end: number, use: (code: number, value: Buffer) => void, keeps = true): void {
    for (let next = at; next + 4 <= end; ) {
      const code = this.#u16(data, next);
      const length = this.#u16(data, next + 2);
      if (code === 0 || next + 4 + length > end) return;
      const value = data.subarray(next + 4, next + 4 + length);
      if (code === 1 && keeps && this.#found.comments.length < MOST_COMMENTS)
        this.#found.comments.push(value.toString());
      use(code, value);
      next += 4 + ((length + 3) & ~3);
    }
  }

  #u16(data: Buffer, at: number): number {
    return this.#isLittle ? data.readUInt16LE(at) : data.readUInt16BE(at);
  }

  #u32(data: Buffer, at: number): number {
    return this.#isLittle ? data.readUInt32LE(at) : data.readUInt32BE(at);
  }

  #u64(value: Buffer): string {
    return String(this.#isLittle ? value.readBigUInt64LE() : value.readBigUInt64BE());
  }
}
