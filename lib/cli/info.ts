import type { Command } from 'commander';
import { CaptureError } from '../errors/errors.js';
import { printable } from '../errors/printable.js';
import { EXIT, report } from './errors.js';
import { integer, scaled } from './format.js';
import { addHelp } from './help.js';
import { printJson, printText } from './output.js';
import { factsOf, type TraceFacts } from './trace/facts.js';
import { tracesAmong } from './trace/inputs.js';
import type { Described } from './trace/pcapng.js';
import { addRange, RANGE_NOTE, type RangeFlags, rangeOptions } from './trace/range.js';
import { isoNs } from './trace/times.js';

interface InfoFlags extends RangeFlags {
  json?: true;
  hashes?: true;
}

export function addInfo(program: Command): void {
  const command = program
    .command('info')
    .argument('<files...>', 'traces (pcap, pcapng, ERF), patterns of names in quotes, or folders')
    .description('say what is in traces: packets, bytes, times, rates, link types, interfaces, order, gaps, losses')
    .option('--json', 'print a line of JSON for each file')
    .option('--hashes', 'also the SHA-256 and SHA-1 of each file');
  addHelp(addRange(command), {
    examples: [
      'ringtap info trace.pcapng',
      'ringtap info *.pcap',
      "ringtap info --json *.pcapng | jq -r 'select(.inOrder | not) | .file'",
    ],
    notes: [
      'One file is told in lines, several in a table. A pattern in quotes or a folder is told as what it is read as: one trace.',
      'A file that is cut or damaged: what comes before is told, then the error, and the exit status is 1.',
      RANGE_NOTE,
    ],
  }).action(info);
}

async function info(files: string[], flags: InfoFlags): Promise<void> {
  const all: TraceFacts[] = [];
  for (const file of tracesAmong(files)) {
    try {
      const facts = await factsOf(file, flags.hashes ?? false, rangeOptions(flags));
      if (facts.error !== undefined) process.exitCode = EXIT.failed;
      if (flags.json) await printJson(facts);
      else all.push(facts);
    } catch (error) {
      // One of several that cannot be read does not keep the others from being told.
      if (!(error instanceof CaptureError)) throw error;
      process.exitCode = report(error);
    }
  }
  if (all.length === 1) await printText(describe(all[0]!));
  else if (all.length > 1) await printText(`${tableOf(all)}\n`);
  for (const { error } of all) {
    if (error !== undefined) report(new Error(error.message));
  }
}

function describe(facts: TraceFacts): string {
  const rows: [string, string][] = [
    ['file', facts.file],
    ['format', facts.format],
    ...(facts.fileBytes === null ? [] : [['file size', `${integer(facts.fileBytes)} bytes`] as [string, string]]),
    ['packets', integer(facts.packets)],
    ['bytes', `${integer(facts.bytes)} on the wire, ${integer(facts.capturedBytes)} captured`],
  ];
  const add = (name: string, value: string | undefined) => {
    if (value !== undefined && value !== '') rows.push([name, value]);
  };
  add('snaplen', `${integer(facts.snaplen)} bytes of a packet at most`);
  if (facts.cutPackets > 0) add('cut', `${integer(facts.cutPackets)} packets are shorter than they were on the wire`);
  if (facts.firstNs !== null) {
    add('first', `${isoNs(BigInt(facts.firstNs))} UTC`);
    add('last', `${isoNs(BigInt(facts.lastNs!))} UTC`);
    add('duration', `${facts.durationSeconds!.toFixed(9)} s`);
  }
  if (facts.pps !== null) {
    add(
      'rate',
      `${scaled(facts.pps, 'pps')}, ${scaled(facts.bps!, 'bit/s')}, ${facts.averageBytes!.toFixed(2)} bytes a packet`,
    );
  }
  add(
    'link types',
    facts.linkTypes.map((type) => `${type.linkType} (${type.name}): ${integer(type.packets)} packets`).join('\n'),
  );
  add(
    'order',
    facts.inOrder
      ? 'each packet is as late as the one before it, or later'
      : `${integer(facts.disordered)} packets are earlier than the one before them`,
  );
  if (facts.longestGapSeconds !== null) {
    add('longest gap', `${facts.longestGapSeconds.toFixed(9)} s, until ${isoNs(BigInt(facts.longestGapAt!))} UTC`);
  }
  if (facts.pcapng !== null) for (const [name, value] of describeBlocks(facts.pcapng)) add(name, value);
  add('SHA-256', facts.sha256);
  add('SHA-1', facts.sha1);
  const indent = ' '.repeat(13);
  return rows
    .map(([name, value]) => `${name.padEnd(13)}${value.split('\n').map(printable).join(`\n${indent}`)}\n`)
    .join('');
}

function describeBlocks(pcapng: Described): [string, string | undefined][] {
  const interfaces = pcapng.interfaces.map((each, i) => {
    const name = [each.name, each.description === undefined ? undefined : `(${each.description})`]
      .filter(Boolean)
      .join(' ');
    const counts = [
      each.received === undefined ? '' : `, ${integer(Number(each.received))} received`,
      each.dropped === undefined ? '' : `, ${integer(Number(each.dropped))} dropped`,
      each.filter === undefined ? '' : `, filter: ${each.filter}`,
    ];
    return `${i}${name === '' ? '' : ` ${name}`}: link type ${each.linkType}, ${integer(each.packets)} packets${counts.join('')}`;
  });
  return [
    ['sections', pcapng.sections > 1 ? integer(pcapng.sections) : undefined],
    ['hardware', pcapng.hardware],
    ['system', pcapng.os],
    ['application', pcapng.application],
    ['interfaces', interfaces.join('\n')],
    [
      'comments',
      [...pcapng.comments, ...(pcapng.packetComments > 0 ? [`${integer(pcapng.packetComments)} of packets`] : [])].join(
        '\n',
      ),
    ],
    [
      'lost',
      pcapng.droppedBetween === '0'
        ? undefined
        : `${integer(Number(pcapng.droppedBetween))} packets between those that are there`,
    ],
    ['secrets', pcapng.secrets > 0 ? `${integer(pcapng.secrets)} blocks` : undefined],
    ['names', pcapng.nameResolutions > 0 ? `${integer(pcapng.nameResolutions)} blocks` : undefined],
  ];
}

/** A line for each trace. Numbers stand to the right. */
function tableOf(all: readonly TraceFacts[]): string {
  const head = ['file', 'packets', 'bytes', 'first', 'duration', 'rate', 'link types', 'in order'];
  const rows = all.map((facts) => [
    printable(facts.file),
    integer(facts.packets),
    integer(facts.bytes),
    facts.firstNs === null ? '-' : isoNs(BigInt(facts.firstNs)).slice(0, 23),
    facts.durationSeconds === null ? '-' : `${facts.durationSeconds.toFixed(3)} s`,
    facts.pps === null ? '-' : scaled(facts.pps, 'pps'),
    facts.linkTypes.map(({ name }) => name).join(', ') || '-',
    facts.inOrder ? 'yes' : 'no',
  ]);
  const isNumber = [false, true, true, false, true, true, false, false];
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((text, i) => (isNumber[i] ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  return [head, ...rows].map(line).join('\n');
}
