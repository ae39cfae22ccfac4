import { FILTER_WORDS, type Flag, type Grammar, type Words } from './grammar.js';

export function fish(commands: readonly Grammar[]): string {
  const lines = [
    '# fish completion of ringtap: ringtap completion fish > ~/.config/fish/completions/ringtap.fish',
    'complete -c ringtap -f',
    ...commands.map(
      ({ name, description }) => `complete -c ringtap -n __fish_use_subcommand -a ${name} -d ${quote(description)}`,
    ),
    ...commands.flatMap(ofCommand),
  ];
  return `${lines.join('\n')}\n`;
}

function ofCommand({ name, flags, first, hasFilter }: Grammar): string[] {
  const here = `complete -c ringtap -n '__fish_seen_subcommand_from ${name}'`;
  const words = first === undefined ? [] : [`${here} ${action(first)}`];
  if (hasFilter) words.push(`${here} -a ${quote(FILTER_WORDS.join(' '))}`);
  return [...flags.map((flag) => `${here} ${ofFlag(flag)}`), ...words];
}

function ofFlag({ names, description, value }: Flag): string {
  const letters = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const rest = value === undefined ? '' : ` -r ${action(value)}`;
  return `${letters.join(' ')}${rest} -d ${quote(description)}`;
}

function action(words: Words): string {
  if (words === 'uri') return "-a '(ringtap __uris 2>/dev/null)' -F";
  if (words === 'file') return '-F';
  return words === 'free' ? '-f' : `-f -a ${quote(words.join(' '))}`;
}

function quote(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`;
}
