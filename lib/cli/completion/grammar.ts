// What there is to complete, taken from the definitions of the commands.
import type { Command, Option } from 'commander';

/** What a word may be: one of a list, a file, a URI, one of a filter's, or something that nobody can guess. */
export type Words = readonly string[] | 'file' | 'uri' | 'free';

export interface Flag {
  readonly names: readonly string[];
  readonly description: string;
  /** What follows it; nothing where it is a switch. */
  readonly value: Words | undefined;
  readonly isRepeatable: boolean;
}

export interface Grammar {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly Flag[];
  /** What the first word is. */
  readonly first: Words | undefined;
  /** Whether words of a filter follow. */
  readonly hasFilter: boolean;
}

/** Words of pcap-filter(7). */
export const FILTER_WORDS =
  'and or not src dst host net port portrange proto ether vlan ip ip6 arp icmp icmp6 tcp udp sctp less greater broadcast multicast'.split(
    ' ',
  );

export function grammarOf(program: Command): Grammar[] {
  const commands = program.createHelp().visibleCommands(program);
  const names = commands.map((command) => command.name());
  return commands.map((command) => {
    const [first, second] = command.registeredArguments;
    const help: Flag = { names: ['-h', '--help'], description: 'display help', value: undefined, isRepeatable: false };
    return {
      name: command.name(),
      description: command.description(),
      flags: [...command.options.filter(({ hidden }) => !hidden).map(flagOf), help],
      first: first === undefined ? undefined : (first.argChoices ?? kindOf(first.name(), names)),
      hasFilter: second?.name() === 'filter',
    };
  });
}

function flagOf({ short, long, description, required, argChoices, flags, parseArg }: Option): Flag {
  const placeholder = /<(.*)>/.exec(flags)?.[1] ?? '';
  return {
    names: [short, long].filter((name) => name !== undefined),
    description,
    value: required ? (argChoices ?? kindOf(placeholder, [])) : undefined,
    isRepeatable: parseArg !== undefined && /repeatable|-xx|-XX|-tt/.test(description),
  };
}

function kindOf(placeholder: string, commands: readonly string[]): Words {
  if (placeholder === 'topic') return [...commands, 'uri', 'filters', 'errors'];
  if (['file', 'files', 'in', 'folder', 'path'].includes(placeholder)) return 'file';
  return placeholder === 'uri' ? 'uri' : 'free';
}
