// `ringtap listen`: a trace for each who connects.
import type { Command } from 'commander';
import { type Capture, type Listener, listen, openWriter, type Writer } from '../index.js';
import { authFor } from './auth.js';
import { say, tell, UsageError } from './errors.js';
import { integer } from './format.js';
import { addHelp } from './help.js';
import { addOpenOptions, type OpenFlags, openOptions, parseCount } from './options.js';
import { readTraceName } from './trace/trace-name.js';

interface ListenFlags extends OpenFlags {
  write: string;
  filter?: string;
  allow?: readonly string[];
  connections?: number;
  count?: number;
  quiet?: true;
}

export function addListen(program: Command): void {
  const command = program
    .command('listen')
    .argument('<uri>', 'where to listen: rpcap://0.0.0.0:2003 for daemons, tcp-listen://0.0.0.0:57012 for traces')
    .description('write a trace for each daemon or sender of a trace that connects')
    .requiredOption(
      '-w, --write <file>',
      'where to: %h is its address, %p its port, %i its interface, %n how often it has come, %% a %',
    )
    .option('-f, --filter <expression>', 'only packets that match it')
    .option('--allow <addresses>', 'who may connect: addresses and networks with commas in between', (text) =>
      text.split(','),
    )
    .option('--connections <number>', 'the most at once', parseCount)
    .option('-c, --count <captures>', 'end after so many captures', parseCount)
    .option('-q, --quiet', 'say nothing but what goes wrong');
  addHelp(addOpenOptions(command), {
    examples: [
      "ringtap listen tcp-listen://0.0.0.0:57012 -w '%h-%p.pcapng'",
      "ringtap listen rpcap://0.0.0.0:2003 -w '%h-%i.pcapng' --allow 10.0.0.0/8",
      "ringtap listen tcp-listen://0.0.0.0:57012 --tls-cert cert.pem --tls-key key.pem -w '%h-%n.pcap.zst'",
    ],
    notes: [
      'SIGINT (Ctrl-C), SIGTERM and SIGHUP end it in good order.',
      'A file that exists is not overwritten: who comes again needs %p or %n in the name.',
    ],
  }).action(run);
}

async function run(uri: string, flags: ListenFlags): Promise<void> {
  const { write: pattern, allow, connections: mostConnections, count, quiet } = flags;
  if (!/%[hpin]/.test(pattern)) {
    throw new UsageError(`${pattern} is one file for all who connect`, "Write %h in its name: -w '%h-%p.pcapng'.");
  }
  const options = { ...authFor(uri), ...openOptions(flags, flags.filter), allow, mostConnections };
  const listener: Listener = await listen(uri as 'tcp-listen:', options);
  const open = new Set<Capture>();
  const end = () => {
    void listener.close();
    for (const capture of open) void capture.close();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.once(signal, end);
  if (!quiet) say(`listening at ${uri}, port ${listener.port}`);
  const writing: Promise<void>[] = [];
  try {
    for await (const capture of listener) {
      open.add(capture);
      writing.push(record(capture, pattern, quiet).finally(() => open.delete(capture)));
      if (count !== undefined && writing.length >= count) break;
    }
    await listener.close();
    await Promise.all(writing);
  } finally {
    for (const signal of signals) process.off(signal, end);
  }
}

/** One that fails ends itself, and no other. */
async function record(capture: Capture, pattern: string, quiet: true | undefined): Promise<void> {
  const path = nameOf(pattern, capture);
  let writer: Writer | undefined;
  try {
    const { scheme } = readTraceName(path);
    const { linkType, plan } = capture;
    const about = { name: plan.target, description: `${plan.backend}, ${plan.mode}` };
    writer = await openWriter(`${scheme}:${path}`, { linkType, ...(scheme === 'pcapng' ? { interface: about } : {}) });
    if (!quiet) say(`${capture.uri} goes to ${path}`);
    for await (const batch of capture) await writer.write(batch);
  } catch (error) {
    tell(`${capture.uri}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  } finally {
    await writer?.close(capture.stats()).catch((error: Error) => tell(error.message));
    await capture.close();
    if (!quiet && writer !== undefined) say(`${path}: ${integer(writer.stats().packets)} packets`);
  }
}

/** What comes from the other end becomes no path: letters, digits and a few more. */
function nameOf(pattern: string, { peer }: Capture): string {
  const plain = (text: string) =>
    text
      .replace(/[^\w.-]/g, '_')
      .replace(/^\.+/, '_')
      .slice(0, 64) || '_';
  return pattern.replace(/%([hpin%])/g, (_, letter: string) => {
    if (letter === '%') return '%';
    if (letter === 'h') return plain(peer?.address ?? '');
    if (letter === 'i') return plain(peer?.interface ?? '');
    return String((letter === 'p' ? peer?.port : peer?.connection) ?? 0);
  });
}
