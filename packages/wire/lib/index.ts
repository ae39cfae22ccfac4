export * from './generated/ringtap/v1/wire_pb.js';
export { type Gaps, gaps } from './loss.js';
