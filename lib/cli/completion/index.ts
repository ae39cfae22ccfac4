// `ringtap completion SHELL`: what completes the command in a shell, made from the definitions of the commands.
import { Argument, type Command } from 'commander';
import { devices } from '../../index.js';
import { addHelp } from '../help.js';
import { print, printText } from '../output.js';
import { bash } from './bash.js';
import { fish } from './fish.js';
import { grammarOf } from './grammar.js';
import { zsh } from './zsh.js';

const SHELLS = { bash, zsh, fish } as const;
/** For the scripts only. */
const URIS = '__uris';

export function addCompletion(program: Command): void {
  const names = Object.keys(SHELLS) as (keyof typeof SHELLS)[];
  const command = program
    .command('completion')
    .addArgument(new Argument('<shell>', 'the shell').choices(names))
    .usage(names.join('|'))
    .description('print a script that completes commands, options and URIs in a shell');
  addHelp(command, {
    examples: [
      ['source <(ringtap completion bash)', 'in ~/.bashrc'],
      ['ringtap completion zsh > /usr/share/zsh/site-functions/_ringtap', 'once, for zsh'],
      ['ringtap completion fish > ~/.config/fish/completions/ringtap.fish', 'once, for fish'],
    ],
  }).action((shell: keyof typeof SHELLS) => print(SHELLS[shell](grammarOf(program))));
  program.command(URIS, { hidden: true }).action(printUris);
}

/** What can be captured from, a line each. */
async function printUris(): Promise<void> {
  const found = await devices();
  const words = found.flatMap(({ name, uris }) => (uris.length === 0 ? [] : [name, ...uris]));
  // The others would have to be quoted, each shell in its own way.
  await printText(
    words
      .filter((word) => /^[\w.:@-]+$/.test(word))
      .map((word) => `${word}\n`)
      .join(''),
  );
}
