// For programs whose own settings do not know AsyncDisposable, and that have no @types/node.
/// <reference lib="esnext.disposable" preserve="true" />
export { type Batch, PacketFlags } from './capture/batch.js';
export type { Capture } from './capture/capture.js';
export type { Packet } from './capture/packet.js';
export type { Peer } from './capture/peer.js';
export type { Selection } from './capture/selection.js';
export type { CaptureStats } from './capture/stats.js';
export { type Tunnel, TunnelWords, tunnelOf } from './capture/tunnel.js';
export type { WaitOptions } from './errors/abort.js';
export { CaptureError, type CaptureErrorFields, type CaptureErrorJson } from './errors/errors.js';
export type { ErrorCode } from './generated/errors.js';
export { LINKTYPE, type LinkType, type LinkTypeName, linkTypeName } from './generated/link_types.js';
export type * from './generated/options.js';
export type { CaptureMode, DropCause, FilterPlacement, TimestampSource } from './generated/vocabulary.js';
export { type Inline, type InlineOptions, type InlineRules, openInline } from './inline/inline.js';
export type {
  InlineGeneveIn,
  InlineGeneveRule,
  InlineIn,
  InlineLimits,
  InlineNatIn,
  InlineNatRule,
  InlineOut,
  InlinePairRule,
  InlineRule,
  InlineTimeouts,
} from './inline/rules.js';
export type {
  InlineDirection,
  InlineDrop,
  InlineInterfaceStats,
  InlineRuleStats,
  InlineStats,
  InlineTable,
  InlineTapStats,
} from './inline/stats.js';
export type { InlineBatches, InlineCapture, InlineTap, InlineTaps } from './inline/taps.js';
export { formatRule, parseRules } from './inline/text.js';
export { open, openTransmitter } from './open.js';
export type { ParallelContext, ParallelHandler } from './parallel/handler.js';
export type { ParallelOptions, Reduce } from './parallel/options.js';
export { openParallel, type ParallelCapture } from './parallel/parallel.js';
export type {
  KeptTogether,
  ParallelHash,
  ParallelSharing,
  ParallelStats,
  Report,
  WorkerFault,
  WorkerStats,
} from './parallel/types.js';
export { type Device, devices } from './plan/devices.js';
export { type Explanation, explain } from './plan/explain.js';
export type { Candidate, Plan } from './plan/plan.js';
export { type ProbeResult, probe } from './plan/probe.js';
export { type ListenOptions, listen } from './remote/listen.js';
export type { Listener, ListenerStats } from './remote/listener.js';
export type { ChooseInterface, DaemonInterface, RemoteDaemon } from './remote/remote-daemon.js';
export { replay } from './replay.js';
export type { Daemon, ServedClient } from './serve/daemon.js';
export type { ActiveClient, ServeEvent, ServeOptions } from './serve/settings.js';
export { type Authenticate, userLine } from './serve/users.js';
export { serve } from './serve.js';
export type { ReplayLateness, ReplayOptions, ReplayProgress, ReplaySource } from './transmit/replay.js';
export type { Rewrite } from './transmit/rewrite.js';
export type {
  ForwardOptions,
  SendBatchOptions,
  TransmitFailures,
  TransmitStats,
  Transmitter,
} from './transmit/transmit.js';
export type { OptionValue } from './uri/values.js';
export type { NamedAddress } from './write/blocks.js';
export type { CompressOptions } from './write/compress.js';
export type { WrittenFile } from './write/files.js';
export { indexTrace, type TraceIndex } from './write/index-trace.js';
export type { WriterInterface } from './write/interfaces.js';
export { openWriter, type WriterOptions } from './write/open.js';
export type { RotateOptions } from './write/rotate.js';
export type { SecretsType, WriteOptions, Writer, WriterLedger, WriterStats } from './write/writer.js';
