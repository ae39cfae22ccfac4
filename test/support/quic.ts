// Initial packets of QUIC, made by node:crypto: what reads them has code of its own for all of it.
import { createCipheriv, createHmac } from 'node:crypto';
import { bytes, u16, u32 } from './trace.js';

export const QUIC_1 = 1;
export const QUIC_2 = 0x6b3343cf;

const SALTS: Record<number, string> = {
  [QUIC_1]: '38762cf7f55934b34d179ae6a4c80cadccbb7f0a',
  [QUIC_2]: '0dede3def700a6db819381be6e269dcbf9bd2ed9',
};

const hmac = (key: Uint8Array, message: Uint8Array) => createHmac('sha256', key).update(message).digest();

function expand(secret: Uint8Array, label: string, length: number): Buffer {
  const info = bytes(u16(length), label.length + 6, Buffer.from(`tls13 ${label}`), 0, 1);
  return hmac(secret, info).subarray(0, length);
}

/** A number of two bytes, as lengths may always have. */
const varint = (value: number) => u16(0x4000 | value);

/** Frames of a piece of what an end says. */
export const crypto = (offset: number, piece: Uint8Array) => bytes(6, varint(offset), varint(piece.length), piece);

export interface InitialFields {
  version?: number;
  /** That the keys are made of: what the client has sent first. */
  keyId: Uint8Array;
  destination?: Uint8Array;
  source?: Uint8Array;
  token?: Uint8Array;
  number?: number;
  numberBytes?: number;
  ofServer?: boolean;
  /** Bytes that the frames are padded to. */
  padTo?: number;
}

/** An Initial packet with these frames, protected. */
export function initial(fields: InitialFields, frames: Uint8Array): Buffer {
  const { version = QUIC_1, keyId, destination = keyId, source = Buffer.alloc(0), token = Buffer.alloc(0) } = fields;
  const { number = 0, numberBytes = 4, ofServer = false, padTo = 0 } = fields;
  const words = version === QUIC_2 ? 'quicv2' : 'quic';
  const secret = hmac(Buffer.from(SALTS[version]!, 'hex'), keyId);
  const own = expand(secret, ofServer ? 'server in' : 'client in', 32);
  const text = bytes(frames, Buffer.alloc(Math.max(0, padTo - frames.length)));
  const first = 0xc0 | (version === QUIC_2 ? 0x10 : 0) | (numberBytes - 1);
  const beside = bytes(
    first,
    u32(version),
    bytes(destination.length, destination, source.length, source),
    bytes(token.length === 0 ? 0 : varint(token.length), token),
    varint(numberBytes + text.length + 16),
    u32(number).subarray(4 - numberBytes),
  );
  const nonce = expand(own, `${words} iv`, 12);
  nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ number) >>> 0, 8);
  const cipher = createCipheriv('aes-128-gcm', expand(own, `${words} key`, 16), nonce).setAAD(beside);
  const packet = bytes(beside, cipher.update(text), cipher.final(), cipher.getAuthTag());
  const at = beside.length - numberBytes;
  const sample = packet.subarray(at + 4, at + 20);
  const mask = createCipheriv('aes-128-ecb', expand(own, `${words} hp`, 16), null).update(sample);
  packet[0]! ^= mask[0]! & 0x0f;
  for (let i = 0; i < numberBytes; i++) packet[at + i]! ^= mask[1 + i]!;
  return packet;
}

const extension = (type: number, data: Uint8Array) => bytes(u16(type), u16(data.length), data);
const message = (type: number, body: Uint8Array) => bytes(type, 0, u16(body.length), body);

/** A ClientHello for this name; `extra` bytes of a key share make it longer. */
export function clientHello(name: string, extra = 0, alpn = 'h3'): Buffer {
  const host = Buffer.from(name);
  const shares = bytes('001d 0020', Buffer.alloc(32, 7), extra > 0 ? extension(0x0a0a, Buffer.alloc(extra, 9)) : '');
  const extensions = bytes(
    extension(0, bytes(u16(host.length + 3), 0, u16(host.length), host)),
    extension(10, bytes('0004 001d 11ec')),
    extension(13, bytes('0004 0403 0804')),
    extension(16, bytes(u16(alpn.length + 1), alpn.length, Buffer.from(alpn))),
    extension(43, bytes('02 0304')),
    extension(51, bytes(u16(shares.length), shares)),
    extension(57, bytes('0104 8000 7530')),
  );
  return message(
    1,
    bytes('0303', Buffer.alloc(32, 5), 0, '0004 1301 1302', '01 00', u16(extensions.length), extensions),
  );
}

export function serverHello(): Buffer {
  const extensions = bytes(extension(51, bytes('001d 0020', Buffer.alloc(32, 8))), extension(43, bytes('0304')));
  return message(2, bytes('0303', Buffer.alloc(32, 6), 0, '1301', 0, u16(extensions.length), extensions));
}
