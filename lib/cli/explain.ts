import type { Command } from 'commander';
import { printable } from '../errors/printable.js';
import { type Candidate, type Explanation, explain, linkTypeName, type Plan } from '../index.js';
import { authFor } from './auth.js';
import { report } from './errors.js';
import { addHelp } from './help.js';
import { addOpenOptions, type OpenFlags, openOptions } from './options.js';
import { printJson, printText } from './output.js';
import { addSource, type SourceFlags, sourceOf, wordsOf } from './source.js';

interface ExplainFlags extends OpenFlags, SourceFlags {
  json?: true;
}

export function addExplain(program: Command): void {
  const command = addSource(program.command('explain'))
    .description('say how a URI would be captured, and why so; captures nothing')
    .option('--json', 'print JSON');
  addHelp(addOpenOptions(command), {
    examples: [
      'ringtap explain eth0',
      'ringtap explain afxdp:eth0 tcp port 443',
      'ringtap explain afpacket:eth0 --json | jq .plan.mode',
    ],
    notes: ['Exit status 1 where it cannot be opened.'],
  }).action(async (first: string | undefined, words: string[], flags: ExplainFlags) => {
    const { uri, filter } = sourceOf('explain', wordsOf(first, words), flags);
    const explained = await explain(uri, { ...authFor(uri), ...openOptions(flags, filter) });
    await (flags.json ? printJson(explained, 2) : printText(describe(uri, explained)));
    if (!explained.ok) process.exitCode = report(explained.error);
  });
}

function describe(uri: string, explained: Explanation): string {
  const { candidates } = explained.ok ? explained.plan : explained;
  const rows = explained.ok ? describePlan(explained.plan) : [];
  rows.push(['candidates', candidates.map(describeCandidate).join('\n')]);
  if (explained.ok && explained.plan.notes.length > 0) {
    rows.push(['notes', explained.plan.notes.map(printable).join('\n')]);
  }
  const indent = ' '.repeat(14);
  const lines = rows.map(([name, text]) => `  ${name.padEnd(12)}${text.replaceAll('\n', `\n${indent}`)}\n`);
  return `${printable(uri)}\n${lines.join('')}`;
}

function describePlan(plan: Plan): [string, string][] {
  const options = Object.entries(plan.options).map(([name, value]) => printable(`${name}=${value}`));
  return [
    ['method', plan.backend],
    ['mode', `${plan.mode}${plan.zeroCopy ? ', no copy for JavaScript' : ', one copy per batch'}`],
    ['traffic', plan.takesTraffic ? 'taken away from the host' : 'left to the host'],
    ['filter', plan.filterReason === '' ? plan.filter : `${plan.filter}: ${plan.filterReason}`],
    ['timestamps', plan.timestamp],
    ['link type', `${plan.linkType} (${linkTypeName(plan.linkType)})`],
    ['holds', `up to ${plan.maxLeases} batches at once, the current one included`],
    ['options', options.join('\n')],
  ];
}

function describeCandidate({ backend, chosen, reason, hint }: Candidate): string {
  if (chosen) return `${backend}: chosen`;
  return `${backend}: not chosen: ${reason ?? 'not tried'}${hint === undefined ? '' : `\n  hint: ${hint}`}`;
}
