// pcapng traces made by hand, in either byte order.

/** Code and value of an option. */
export type Option = readonly [code: number, value: Uint8Array | string];

export class Pcapng {
  readonly #pieces: Buffer[] = [];
  readonly #isLittle: boolean;

  constructor(isLittle = true) {
    this.#isLittle = isLittle;
  }

  u16(value: number): Buffer {
    const bytes = Buffer.alloc(2);
    if (this.#isLittle) bytes.writeUInt16LE(value);
    else bytes.writeUInt16BE(value);
    return bytes;
  }

  u32(value: number): Buffer {
    const bytes = Buffer.alloc(4);
    if (this.#isLittle) bytes.writeUInt32LE(value);
    else bytes.writeUInt32BE(value);
    return bytes;
  }

  u64(value: bigint): Buffer {
    const bytes = Buffer.alloc(8);
    if (this.#isLittle) bytes.writeBigUInt64LE(value);
    else bytes.writeBigUInt64BE(value);
    return bytes;
  }

  block(type: number, ...body: Uint8Array[]): this {
    const content = Buffer.concat(body);
    const total = this.u32(content.length + 12);
    this.#pieces.push(this.u32(type), total, content, total);
    return this;
  }

  section(options: readonly Option[] = []): this {
    return this.block(
      0x0a0d0d0a,
      this.u32(0x1a2b3c4d),
      this.u16(1),
      this.u16(0),
      Buffer.alloc(8, 255),
      this.#all(options),
    );
  }

  interface(linkType: number, options: readonly Option[] = [], snaplen = 262144): this {
    return this.block(1, this.u16(linkType), this.u16(0), this.u32(snaplen), this.#all(options));
  }

  packet(of: number, ticks: bigint, data: Uint8Array, options: readonly Option[] = []): this {
    const time = [this.u32(Number(ticks >> 32n)), this.u32(Number(ticks & 0xffffffffn))];
    const lengths = [this.u32(data.length), this.u32(data.length)];
    return this.block(
      6,
      this.u32(of),
      ...time,
      ...lengths,
      data,
      Buffer.alloc(-data.length & 3),
      this.#all(options, false),
    );
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  #all(options: readonly Option[], isAlways = true): Buffer {
    if (options.length === 0 && !isAlways) return Buffer.alloc(0);
    const pieces = options.flatMap(([code, value]) => {
      const bytes = Buffer.from(value);
      return [this.u16(code), this.u16(bytes.length), bytes, Buffer.alloc(-bytes.length & 3)];
    });
    return Buffer.concat([...pieces, this.u32(0)]);
  }
}
