// What stands below the options in a command's help, and in its part of the manual page.
import type { Command } from 'commander';
import { columns, wrap } from './text.js';

/** A command line, and what it shows where that needs words. */
export type Example = string | readonly [line: string, what: string];

export interface Help {
  readonly examples: readonly Example[];
  /** A paragraph each. */
  readonly notes?: readonly string[];
}

const helps = new WeakMap<Command, Help>();

/** Adds examples and remarks to a command. */
export function addHelp(command: Command, help: Help): Command {
  helps.set(command, help);
  return command.addHelpText('after', () => format(help, columns()));
}

/** What {@link addHelp} added. */
export function helpOf(command: Command): Help {
  return helps.get(command) ?? { examples: [] };
}

function format({ examples, notes = [] }: Help, width: number): string {
  const lines = examples.flatMap((example) =>
    typeof example === 'string' ? [`  $ ${example}`] : withWords(example, width),
  );
  const remarks = notes.flatMap((note) => ['', ...wrap(note.split(' '), width)]);
  return ['', 'Examples:', ...lines, ...remarks].join('\n');
}

/** Command lines are there to be copied, and are not broken: what they show stands above. */
function withWords([line, what]: readonly [string, string], width: number): string[] {
  return [...wrap(what.split(' '), width - 4).map((words) => `  # ${words}`), `  $ ${line}`];
}
