// `ringtap help`: of commands what --help prints, and the topics that no command has.
import type { Command } from 'commander';
import { UsageError } from './errors.js';
import { addHelp } from './help.js';
import { manual } from './man.js';
import { print } from './output.js';
import { helpErrors } from './topics/errors.js';
import { helpFilters } from './topics/filters.js';
import { helpUri } from './topics/uri.js';

const TOPICS: Readonly<Record<string, (name: string | undefined) => string>> = {
  uri: helpUri,
  filters: helpFilters,
  errors: helpErrors,
};

export function addHelpCommand(program: Command): void {
  const command = program
    .helpCommand(false)
    .command('help')
    .usage('[options] [topic] [name]')
    .argument('[topic]', `a command, or ${Object.keys(TOPICS).join(', ')}`)
    .argument('[name]', 'of a scheme, or an error code')
    .description('explain a command, URIs, filters or error codes')
    .option('--man', 'print the manual page, for man -l');
  addHelp(command, {
    examples: [
      'ringtap help capture',
      'ringtap help uri afpacket',
      'ringtap help filters',
      'ringtap help errors BAD_FILTER',
      'ringtap help --man | man -l -',
    ],
  }).action((topic: string | undefined, name: string | undefined, { man }: { man?: true }) =>
    print(man ? manual(program) : textOf(program, topic, name)),
  );
}

function textOf(program: Command, topic: string | undefined, name: string | undefined): string {
  if (topic === undefined) return helpText(program);
  if (Object.hasOwn(TOPICS, topic)) return TOPICS[topic]!(name);
  const command = program.commands.find((one) => one.name() === topic);
  if (command !== undefined) return helpText(command);
  const hint = `Topics: ${Object.keys(TOPICS).join(' ')}; commands: \`ringtap --help\``;
  throw new UsageError(`there is nothing about "${topic}"`, hint);
}

/** What --help prints, with what was added to it. */
function helpText(command: Command): string {
  let text = '';
  const before = command.configureOutput();
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  command.configureOutput(before);
  return text;
}
