// The entry point ringtap/export: where records of flows go.
export type { Batch } from '../capture/batch.js';
export type { Packet } from '../capture/packet.js';
export type {
  EveFlow,
  EventBatch,
  EventStats,
  FlowBatch,
  FlowEnd,
  FlowMeter,
  FlowMeterOptions,
  FlowPair,
  FlowRecord,
  FlowState,
  FlowStats,
  TunnelName,
} from '../flow/index.js';
export type * from '../generated/events.js';
export type { TlsOptions } from '../generated/options.js';
export { FlowExporter } from './exporter.js';
export { IpfixExporter, NetflowExporter } from './ipfix.js';
export type { CollectorOptions, ExportedInterface, IpfixOptions } from './ipfix-options.js';
export { CsvExporter, type FileExportOptions, JsonLinesExporter } from './lines.js';
export { MetricsExporter, type MetricsOptions } from './metrics.js';
export { ParquetExporter, type ParquetOptions } from './parquet.js';
export type { ExportStats, NotSentCause } from './stats.js';
