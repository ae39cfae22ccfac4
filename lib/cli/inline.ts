import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { CaptureError, type Inline, type InlineDirection, type InlineRule, openInline, parseRules } from '../index.js';
import { say, UsageError } from './errors.js';
import { counted, integer } from './format.js';
import { addHelp } from './help.js';
import { ask, listenAt, WORDS } from './inline-control.js';
import { printText } from './output.js';

interface InlineFlags {
  ingress?: string;
  egress?: string;
  inline?: string;
  interface?: string[];
  control?: string;
  method: 'afpacket' | 'afxdp';
  probe: boolean;
  overwrite?: true;
  quiet?: true;
}

const many = (text: string, before: string[] = []) => [...before, text];

export function addInline(program: Command): void {
  addHelp(
    program
      .command('inline')
      .description('forward packets between clients and servers under other addresses, and capture them')
      .argument('[rules]', 'file of rules, read again at SIGHUP; with --control alone: list, counters, add or remove')
      .argument('[words...]', 'of add: a rule, in quotes; of remove: its name')
      .option('--ingress <file>', 'write packets as they came in')
      .option('--egress <file>', 'write packets as they were sent')
      .option('--inline <file>', 'write packets as if nobody were between')
      .option('--overwrite', 'replace files that exist')
      .option('-i, --interface <name>', 'one that rules may name later; repeatable', many)
      .addOption(
        new Option('--method <name>', 'how packets come and go').choices(['afpacket', 'afxdp']).default('afpacket'),
      )
      .option('--control <socket>', 'listen for list, counters, add and remove; or ask whoever listens there')
      .option('--no-probe', 'do not ask whether somebody has the addresses of rules')
      .option('-q, --quiet', 'print no account at the end'),
    {
      examples: [
        'ringtap inline rules.txt --inline web.pcapng --control /run/ringtap.sock',
        ['ringtap inline --control /run/ringtap.sock counters', 'in another terminal'],
        "ringtap inline --control /run/ringtap.sock add 'web: eth1 10.1.0.2 -> 10.1.0.5 => eth2 10.2.0.5 -> 10.2.0.2'",
        'ringtap inline --control /run/ringtap.sock remove web',
      ],
      notes: [
        'A rule is a line: web: eth1 10.1.0.2 -> 10.1.0.5/24 => eth2 10.2.0.5/24 -> 10.2.0.2, and means: what the client 10.1.0.2 sends to 10.1.0.5 on eth1 goes to the server 10.2.0.2 on eth2, from 10.2.0.5; and back. "via ADDRESS" behind either side names a gateway. # begins a comment.',
        'many: nat eth1 10.1.0.0/24 -> 10.1.0.7/24 => eth2 10.2.0.7/24 -> 10.2.0.2 is for the clients of a network, or for any, with a port of ours for each conversation; behind it ports 20000-59999, entries 65536, per-client 1024, and how long conversations are kept: established 7440s, transitory 240s, closing 120s, udp 120s, icmp 60s. gw: geneve eth1 10.1.0.0/24 -> 10.1.0.9 health 8080 gives GENEVE back to balancers, from an address of the host.',
        'The host must hold neither of the two addresses in the middle, and no other forwarder. SIGHUP reads the file again: rules that stay the same lose no packet, and where a line is wrong all stays as it was. SIGINT and SIGTERM end it.',
      ],
    },
  ).action(async (rules: string | undefined, words: string[], flags: InlineFlags) => {
    const isWord = (WORDS as readonly string[]).includes(rules ?? '');
    if (isWord) {
      if (flags.control === undefined) throw new UsageError(`${rules}: --control SOCKET is missing`);
      await printAnswer(await ask(flags.control, [rules!, ...words]));
      return;
    }
    if (rules === undefined) throw new UsageError('a file of rules is missing');
    if (words.length > 0) throw new UsageError(`there is one file of rules, and "${words[0]}" is too much`);
    await run(rules, flags);
  });
}

async function printAnswer({ rules, ...rest }: Record<string, unknown>): Promise<void> {
  if (Array.isArray(rules) && Object.keys(rest).length === 0) {
    await printText(rules.map((rule) => `${rule}\n`).join(''));
  } else if (rules !== undefined) {
    await printText(`${JSON.stringify({ rules, ...rest })}\n`);
  }
}

function readFile(path: string): InlineRule[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new CaptureError('RINGTAP_FILE_OPEN', what, { cause });
  }
  return parseRules(text, path);
}

async function run(path: string, flags: InlineFlags): Promise<void> {
  const tap = (uri: string | undefined) =>
    uri === undefined ? undefined : { uri, ...(flags.overwrite ? { overwrite: true } : {}) };
  const inline = await openInline(readFile(path), {
    interfaces: flags.interface,
    capture: { ingress: tap(flags.ingress), egress: tap(flags.egress), inline: tap(flags.inline) },
    probe: flags.probe,
    method: flags.method,
  });
  try {
    const asked = new Promise<void>((resolve) => {
      process.once('SIGINT', resolve).once('SIGTERM', resolve);
      process.on('SIGHUP', () => void reload(inline, path));
    });
    const control = flags.control === undefined ? undefined : await listenAt(flags.control, inline);
    if (!flags.quiet) say(`forwards by ${counted(inline.rules.list().length, 'rule')}`);
    await asked;
    control?.();
  } finally {
    await inline.close();
  }
  if (!flags.quiet) for (const line of account(inline)) say(line);
}

async function reload(inline: Inline, path: string): Promise<void> {
  try {
    await inline.rules.set(readFile(path));
    say(`read its rules again: ${counted(inline.rules.list().length, 'rule')}`);
  } catch (error) {
    say(`goes on as it was: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function why(drops: InlineDirection['drops']): string {
  const causes = Object.entries(drops).filter(([, count]) => count > 0);
  return causes.map(([cause, count]) => `${cause} ${integer(count)}`).join(', ');
}

function account(inline: Inline): string[] {
  const way = ({ ingress, egress, dropped, drops, waiting }: InlineDirection) =>
    [
      `${counted(ingress, 'packet')} came, ${integer(egress)} were sent`,
      ...(dropped > 0 ? [`${integer(dropped)} dropped (${why(drops)})`] : []),
      ...(waiting > 0 ? [`${integer(waiting)} waited`] : []),
    ].join(', ');
  const { rules, taps } = inline.stats();
  return [
    ...rules.flatMap(({ name, toServer, toClient, nat }) => [
      `${name}: to the server ${way(toServer)}`,
      `${name}: to the client ${way(toClient)}`,
      ...(nat === undefined
        ? []
        : [`${name}: ${counted(nat.created, 'conversation')}, ${integer(nat.entries)} still kept`]),
    ]),
    ...Object.entries(taps).flatMap(([name, { dropped, ...tap }]) => [
      `${name}: ${counted('packets' in tap ? tap.packets : 0, 'packet')} written${dropped > 0 ? `, ${integer(dropped)} found no room` : ''}`,
    ]),
  ];
}
