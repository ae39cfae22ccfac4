// The entry point ringtap/streams: captures and writers as streams of Node, and by `Readable.toWeb()` of the web.
export type { Batch } from '../capture/batch.js';
export type { Packet } from '../capture/packet.js';
export type { BatchSource } from './pull.js';
export { type OwnedPacket, type ReadOptions, readBatches, readPackets } from './read.js';
export { readTrace, type TraceOptions } from './trace.js';
export { type BatchSink, writeTo } from './write.js';
