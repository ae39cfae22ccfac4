// The package's entry point ringtap/flow: everything public of it, and nothing else.
export type { Batch } from '../capture/batch.js';
export type { Packet } from '../capture/packet.js';
export type * from '../generated/events.js';
export { PROTOCOLS } from '../generated/events.js';
export { EventBatch } from './event-batch.js';
export { FlowBatch } from './flow-batch.js';
export { type EventStats, FlowMeter, type FlowStats } from './meter.js';
export type { FlowMeterOptions } from './options.js';
export type { EveFlow, FlowEnd, FlowPair, FlowRecord, FlowState, TunnelName } from './record.js';
