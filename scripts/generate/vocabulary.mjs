// lib/generated/vocabulary.ts and link_types.ts: the words and numbers that a plan and a ledger are told in.
import { linkTypes, note, vocabulary } from './tables.mjs';

const TYPES = {
  modes: ['CaptureMode', 'How a capture method runs.'],
  placements: ['FilterPlacement', 'Where a filter runs.'],
  clocks: ['TimestampSource', 'Whose clock stamps packets.'],
  drops: ['DropCause', 'Why packets were lost. docs/uri.md says what each means to a scheme.'],
};

const union = ([table, [name, doc]]) => `/**
 * ${doc}
 *
${vocabulary[table].map(({ word, meaning }) => ` * - \`${word}\`: ${meaning}`).join('\n')}
 */
export type ${name} =
${vocabulary[table].map(({ word }) => `  | '${word}'`).join('\n')};`;

export const words = `// ${note}

${Object.entries(TYPES).map(union).join('\n\n')}
`;

export const linkTypeTable = `// ${note}

/**
 * LINKTYPE_ values by name, as in \`capture.linkType === LINKTYPE.ETHERNET\`. A trace may carry any other number of
 * tcpdump.org/linktypes.html as well: these are the ones that Linux gives, and the usual ones of traces.
 */
export const LINKTYPE = {
${linkTypes.map(({ name, value, title }) => `  /** ${title} */\n  ${name}: ${value},`).join('\n')}
} as const;

/** The name of a link type that {@link LINKTYPE} has. */
export type LinkTypeName = keyof typeof LINKTYPE;

/** The number of a link type that {@link LINKTYPE} has. */
export type LinkType = (typeof LINKTYPE)[LinkTypeName];

const TITLES: ReadonlyMap<number, string> = new Map([
${linkTypes.map(({ value, title }) => `  [${value}, '${title}'],`).join('\n')}
]);

/**
 * A link type in words, such as "Ethernet"; "link type 300" where it is none of {@link LINKTYPE}.
 * @param linkType LINKTYPE_ value, such as \`batch.linkType\`
 * @throws nothing
 * @example
 * console.log(linkTypeName(capture.linkType));
 */
export function linkTypeName(linkType: number): string {
  const fallback = typeof linkType === 'number' ? \`link type \${linkType}\` : 'no link type';
  return TITLES.get(linkType) ?? fallback;
}
`;
