import { type Capture, linkTypeName, type OpenOptions, open, type Plan, type Writer } from '../index.js';
import { say } from './errors.js';
import { causes, integer, scaled } from './format.js';
import type { Run } from './run.js';

/** Opens a capture and closes it after `use`, whatever becomes of that. */
export async function withCapture(
  uri: string,
  options: OpenOptions,
  use: (capture: Capture) => Promise<void>,
): Promise<void> {
  const capture = await open(uri, options);
  try {
    await use(capture);
  } finally {
    await capture.close();
  }
}

/** How the capture is done, and what the user had better know about it. */
export function announce(plan: Plan): void {
  const filter = plan.filter === 'none' ? '' : `, filter: ${plan.filter}`;
  const how = `${plan.mode}, ${linkTypeName(plan.linkType)}, timestamps: ${plan.timestamp}${filter}`;
  say(`capturing from ${plan.uri} with ${plan.backend} (${how})`);
  for (const note of plan.notes) say(`note: ${note}`);
}

/** The account of a run: what came, and what did not, by cause. */
export function summarize(capture: Capture, run: Run, writer: Writer | undefined): void {
  const { filtered, dropped, pending, drops } = capture.stats();
  const rate = run.seconds > 0 ? `, ${scaled(run.packets / run.seconds, 'pps')}` : '';
  const lines = [
    `${integer(run.packets)} packets captured (${integer(run.bytes)} bytes in ${run.seconds.toFixed(3)} s${rate})`,
    `${integer(filtered)} packets filtered`,
    `${integer(dropped)} packets dropped${causes(drops) === '' ? '' : ` (${causes(drops)})`}`,
  ];
  if (writer !== undefined) {
    const { packets, files } = writer.stats();
    lines.push(`${integer(packets)} packets written${files > 1 ? ` to ${integer(files)} files` : ''}`);
  }
  if (pending > 0) lines.push(`${integer(pending)} packets received, but not read`);
  process.stderr.write(`${lines.join('\n')}\n`);
}
