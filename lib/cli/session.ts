import { linkTypeName } from '../generated/link_types.js';
import type { Capture, OpenOptions, Plan, Writer } from '../index.js';
import { open } from '../open.js';
import { authFor } from './auth.js';
import { say, tell } from './errors.js';
import { causes, counted, integer, scaled } from './format.js';
import type { Run } from './run.js';

/** Opens captures and closes them after `use`, whatever becomes of that. */
export async function withCaptures(
  uris: readonly string[],
  options: OpenOptions,
  use: (captures: readonly Capture[]) => Promise<void>,
): Promise<void> {
  const captures: Capture[] = [];
  try {
    for (const uri of uris) captures.push(await open(uri, { ...authFor(uri), ...options }));
    await use(captures);
  } finally {
    await Promise.all(captures.map((capture) => capture.close()));
  }
}

/** The same with one. */
export function withCapture(
  uri: string,
  options: OpenOptions,
  use: (capture: Capture) => Promise<void>,
): Promise<void> {
  return withCaptures([uri], options, ([capture]) => use(capture!));
}

/** How the capture is done, and what the user had better know about it. */
export function announce(plan: Plan): void {
  const filter = plan.filter === 'none' ? '' : `, filter: ${plan.filter}`;
  const how = `${plan.mode}, ${linkTypeName(plan.linkType)}, timestamps: ${plan.timestamp}${filter}`;
  say(`capturing from ${plan.uri} with ${plan.backend} (${how})`);
  for (const note of plan.notes) say(`note: ${note}`);
}

/** The account of a run: what came, and what did not, by cause. */
export function summarize(captures: readonly Capture[], run: Run, writer: Writer | undefined): void {
  const rate = run.seconds > 0 ? `, ${scaled(run.packets / run.seconds, 'pps')}` : '';
  const lines = [
    `${counted(run.packets, 'packet')} captured (${integer(run.bytes)} bytes in ${run.seconds.toFixed(3)} s${rate})`,
    ...captures.flatMap((capture, i) => {
      const lost = losses(capture);
      return captures.length === 1 ? lost : [`${capture.uri}: ${counted(run.each[i]!, 'packet')} captured`, ...lost];
    }),
  ];
  if (writer !== undefined) {
    const { packets, dropped, files, late: disordered } = writer.stats();
    lines.push(`${counted(packets, 'packet')} written${files > 1 ? ` to ${counted(files, 'file')}` : ''}`);
    const why = /^tcp/i.test(writer.uri)
      ? 'whoever reads them left, or had no room'
      : 'no room for them, in memory or on the disk';
    if (dropped > 0) lines.push(`${counted(dropped, 'packet')} not written: ${why}`);
    if (disordered > 0)
      lines.push(`${integer(disordered)} packets stand behind later ones: they came too late (--lateness)`);
    const late = run.packets - packets - dropped;
    if (late > 0) lines.push(`${integer(late)} packets captured after the last file was complete: not written`);
  }
  tell(lines.join('\n'));
}

function losses(capture: Capture): string[] {
  const { filtered, dropped, pending, drops } = capture.stats();
  return [
    `${counted(filtered, 'packet')} filtered`,
    `${counted(dropped, 'packet')} dropped${causes(drops) === '' ? '' : ` (${causes(drops)})`}`,
    ...(pending > 0 ? [`${counted(pending, 'packet')} received, but not read`] : []),
  ];
}
