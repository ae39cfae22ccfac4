// A handler that counts frames by the number that each ends with, and misbehaves where its data says so.
const counts = new Map();
let packets = 0;
let batches = 0;

export function onStart({ data }) {
  if (data?.failStart) throw new Error('no start');
}

export function onBatch(batch, context) {
  const { data } = context;
  batches++;
  for (let i = 0; i < batch.length; i++) {
    const at = batch.offset[i] + batch.caplen[i] - 4;
    const flow = batch.view.getUint32(at);
    counts.set(flow, (counts.get(flow) ?? 0) + 1);
  }
  packets += batch.length;
  if (context.worker !== data?.victim) return undefined;
  if (data.how === 'throw' && batches === data.after) throw new TypeError('on purpose');
  if (data.how === 'exit' && batches === data.after) process.exit(7);
  if (data.how === 'hang' && batches === data.after) for (;;);
  if (data.how === 'slow') return new Promise((resolve) => setTimeout(resolve, 2));
  return undefined;
}

/** What has come since it was asked last. */
export function onReduce() {
  const told = [...counts];
  counts.clear();
  return { packets: told.reduce((sum, [, count]) => sum + count, 0), flows: told };
}

export function onEnd(context) {
  context.report({ packets, batches });
}
