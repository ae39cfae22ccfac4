import { type Command, InvalidArgumentError } from 'commander';
import { type Decoded, decode } from '../decode/index.js';
import type { Batch, WriterOptions } from '../index.js';
import { say, UsageError } from './errors.js';
import { integer } from './format.js';
import { addHelp } from './help.js';
import { addCompress } from './trace/compress.js';
import { OutputFile, type OutputFlags, refuseInput } from './trace/output-file.js';
import { Parts, partName } from './trace/parts.js';
import { type Outputs, pass } from './trace/pass.js';
import { parseSpan } from './trace/times.js';
import { readTraceName } from './trace/trace-name.js';

interface SplitFlags extends OutputFlags {
  write: string;
  by: Rule;
  filter?: string;
}

type Rule =
  | { readonly kind: 'time'; readonly ns: bigint }
  | { readonly kind: 'bytes' | 'packets' | 'flow'; readonly count: number };

/** What one file has of flows at most: as many may be open at once everywhere. */
const MOST_FILES = 1000;
/** Bytes of a pcap file beside its packets. */
const HEADER_BYTES = 24;
const RECORD_BYTES = 16;
const UNITS: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, g: 1e9 };

export function addSplit(program: Command): void {
  addHelp(
    addCompress(
      program
        .command('split')
        .argument('<file>', 'a trace (pcap, pcapng, ERF), a pattern of names in quotes, or a folder')
        .description('make several traces of one')
        .requiredOption(
          '-w, --write <name>',
          'the traces to write: NAME.pcap makes NAME_00001_20261130100000.pcap …; pcapng likewise',
        )
        .requiredOption(
          '--by <rule>',
          'time:60s, bytes:100M, packets:100000, or flow:8 (each flow in one of 8 files)',
          parseRule,
        )
        .option('-f, --filter <expression>', 'only packets that this pcap-filter(7) expression matches')
        .option('--force', 'overwrite existing files'),
    ),
    {
      examples: [
        'ringtap split day.pcapng -w hour.pcapng --by time:1h',
        'ringtap split big.pcap -w part.pcap --by bytes:100M',
        'ringtap split big.pcap -w flows.pcap --by flow:4',
      ],
      notes: [
        'time: from the first packet on, in steps that do not drift; a time without packets makes no file. bytes: of a pcap file; k, M and G are powers of 1000; no file is larger, unless one packet is. flow: both directions of a flow, and its fragments, are in one file.',
      ],
    },
  ).action(split);
}

function parseRule(text: string): Rule {
  const [, kind = '', value = ''] = /^(\w+):(.+)$/.exec(text) ?? [];
  if (kind === 'time') {
    const ns = parseSpan(value);
    if (ns > 0n) return { kind, ns };
  }
  const match = /^(\d+)([kMG]?)B?$/i.exec(value);
  const count = Number(match?.[1]) * (UNITS[match?.[2]?.toLowerCase() ?? ''] ?? 1);
  if ((kind === 'bytes' || kind === 'packets' || kind === 'flow') && count > 0 && Number.isSafeInteger(count)) {
    if (kind !== 'flow' || count <= MOST_FILES) return { kind, count };
    throw new InvalidArgumentError(`Expected at most ${MOST_FILES} files.`);
  }
  throw new InvalidArgumentError('Expected time:60s, bytes:100M, packets:100000 or flow:8.');
}

async function split(file: string, flags: SplitFlags): Promise<void> {
  const { by, write: path } = flags;
  if (path === '-') throw new UsageError('split writes several files: name them with -w NAME.pcap');
  readTraceName(path); // while it has its suffix
  refuseInput(path, [file]);
  await pass([file], flags.filter === undefined ? {} : { filter: flags.filter }, async ({ linkType }) =>
    by.kind === 'flow' ? byFlow(path, by.count, flags, { linkType }) : inTurn(path, by, flags, { linkType }),
  );
}

/** One file after the other. */
function inTurn(
  path: string,
  rule: Exclude<Rule, { kind: 'flow' }>,
  flags: OutputFlags,
  options: WriterOptions,
): Outputs {
  const parts = new Parts(path, flags, options);
  const isFull = 'ns' in rule ? timeIsUp(rule.ns) : sizeIsFull(rule.kind === 'bytes', rule.count);
  return {
    async take(batch) {
      let from = 0;
      for (let i = 0; i < batch.length; i++) {
        if (!isFull(batch, i)) continue;
        await parts.write(batch, from, i);
        await parts.next();
        from = i;
      }
      await parts.write(batch, from, batch.length);
    },
    async finish() {
      await parts.next();
      say(`${integer(parts.packets)} packets are in ${integer(parts.files)} files`);
    },
    discard: () => parts.discard(),
  };
}

/** Whether a packet belongs into the next file. Asked once for each, in order. */
type IsFull = (batch: Batch, i: number) => boolean;

function timeIsUp(step: bigint): IsFull {
  let end: bigint | undefined;
  return (batch, i) => {
    const ns = batch.timeNs(i);
    if (end === undefined) {
      end = ns + step;
      return false;
    }
    if (ns < end) return false;
    end += ((ns - end) / step + 1n) * step;
    return true;
  };
}

function sizeIsFull(isBytes: boolean, most: number): IsFull {
  let size = isBytes ? HEADER_BYTES : 0;
  let packets = 0;
  return ({ caplen }, i) => {
    const more = isBytes ? RECORD_BYTES + caplen[i]! : 1;
    const full = packets > 0 && size + more > most;
    size = (full ? (isBytes ? HEADER_BYTES : 0) : size) + more;
    packets = full ? 1 : packets + 1;
    return full;
  };
}

/** All files at the same time; those without a flow are not made. */
function byFlow(path: string, count: number, flags: OutputFlags, options: WriterOptions): Outputs {
  const outputs: (OutputFile | undefined)[] = Array(count).fill(undefined);
  const made = () => outputs.filter((output) => output !== undefined);
  let decoded: Decoded | undefined;
  let packets = 0;
  return {
    async take(batch) {
      decoded = decode(batch, decoded);
      const { flowHash } = decoded;
      const chosen: number[][] = Array.from({ length: count }, () => []);
      for (let i = 0; i < batch.length; i++) chosen[flowHash[i]! % count]!.push(i);
      for (const [file, select] of chosen.entries()) {
        if (select.length === 0) continue;
        outputs[file] ??= await OutputFile.open(partName(path, file + 1), flags, options);
        await outputs[file].write(batch, { select });
      }
      packets += batch.length;
    },
    async finish() {
      for (const output of made()) await output.finish();
      say(`${integer(packets)} packets are in ${integer(made().length)} files`);
    },
    async discard() {
      for (const output of made()) await output.discard();
    },
  };
}
