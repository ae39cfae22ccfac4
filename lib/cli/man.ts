// The manual page, in roff with the macros of man(7), from the same definitions as --help.
import type { Argument, Command, Option } from 'commander';
import { BACKENDS } from '../generated/schema.js';
import { helpOf } from './help.js';
import { wrap } from './text.js';
import { version } from './version.js';

/** What --help says of itself. */
const NOT_WORTH_IT = new Set(['--help', '--version']);

export function manual(program: Command): string {
  const visible = program.createHelp().visibleCommands(program);
  const commands = visible.filter((command) => command.name() !== 'bench'); // no part of an install
  return [
    `.TH RINGTAP 1 "" "ringtap ${text(version())}" "User Commands"`,
    '.SH NAME',
    'ringtap \\- capture packets with every method the host has',
    '.SH SYNOPSIS',
    ...commands.flatMap((command) => [`.B ringtap ${text(command.name())}`, text(command.usage()), '.br']).slice(0, -1),
    '.SH DESCRIPTION',
    text(program.description()),
    'A URI names what is captured from: an interface (eth0), a trace, or scheme:target?option=value.',
    'The words behind it are a filter, as pcap-filter(7) describes it.',
    '.SH COMMANDS',
    ...commands.flatMap((command) => [
      `.SS ${text(command.name())}`,
      `${sentence(command.description())}`,
      ...command.registeredArguments.flatMap(argument),
      ...command.options.filter(({ hidden, long }) => !hidden && !NOT_WORTH_IT.has(long ?? '')).flatMap(option),
      ...(helpOf(command).notes ?? []).flatMap((note) => ['.PP', text(note)]),
    ]),
    '.SH SCHEMES',
    ...BACKENDS.flatMap(({ name, title }) => ['.TP', `.B ${text(`${name}:`)}`, text(title)]),
    '.PP',
    'The options of each are listed by',
    '.BR "ringtap help uri" .',
    '.SH EXIT STATUS',
    ...(
      [
        ['0', 'done'],
        ['1', 'failed'],
        ['2', 'wrong usage: command line, URI, option or filter'],
      ] as const
    ).flatMap(([status, what]) => ['.TP', `.B ${status}`, what]),
    '.SH ENVIRONMENT',
    '.TP',
    '.B NODE_DEBUG=ringtap',
    'shows where an error comes from.',
    '.TP',
    '.B COLUMNS',
    'The width of help and lists where the output is no terminal.',
    '.SH EXAMPLES',
    '.nf',
    ...[program, ...commands].flatMap((command) => helpOf(command).examples.map(example)),
    '.fi',
    '.SH SEE ALSO',
    '.BR pcap\\-filter (7),',
    '.BR tcpdump (8),',
    '.BR wireshark (1)',
    '',
  ]
    .flatMap(broken)
    .join('\n');
}

/** A line of text in lines that editors like; requests and examples stay whole. */
function broken(line: string): string[] {
  return /^[.$#]/.test(line) ? [line] : wrap(line.split(' '), 78);
}

function argument(one: Argument): string[] {
  return ['.TP', `.I ${text(one.name())}`, sentence(one.description)];
}

function option({ flags, description, argChoices }: Option): string[] {
  const choices = argChoices === undefined ? '' : ` (${argChoices.join(', ')})`;
  return ['.TP', `.B ${text(flags)}`, sentence(`${description}${choices}`)];
}

function example(one: string | readonly [string, string]): string {
  return typeof one === 'string' ? text(`$ ${one}`) : `${text(`# ${one[1]}`)}\n${text(`$ ${one[0]}`)}`;
}

/** Keywords, such as `duration:N`, stay as they are to be written. */
function sentence(words: string): string {
  if (/^\w+:/.test(words)) return text(`${words}.`);
  return text(`${words.charAt(0).toUpperCase()}${words.slice(1)}.`);
}

/** Text in which nothing is a request or an escape of roff's, wherever its lines are broken. */
function text(words: string): string {
  return words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('’', '\\(cq')
    .replaceAll('…', '...')
    .replaceAll('–', '\\(en')
    .replace(/(^| )\./g, '$1\\&.');
}
