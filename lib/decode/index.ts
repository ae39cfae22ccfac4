// The package's entry point ringtap/decode: everything public of it, and nothing else.
export type { Batch } from '../capture/batch.js';
export type { Packet } from '../capture/packet.js';
export { ipv4Text, ipv6Text, macText } from './address.js';
export { decode, decodePacket, type PacketPlace } from './decode.js';
export { Decoded } from './decoded.js';
export { ABSENT, DecodeFlags } from './flags.js';
