// The tables of docs/events.md: every field of every event.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../files.mjs';
import { protocols } from './tables.mjs';

const BEGIN = '<!-- fields: npm run generate writes what follows -->';
const cell = (text) => text.replaceAll('|', '\\|');
const rows = (fields) =>
  Object.entries(fields).map(([key, [type, text]]) => `| \`${key}\` | ${cell(type)} | ${cell(text)} |`);
const table = (fields) => ['| field | type | |', '|---|---|---|', ...rows(fields)].join('\n');

const section = ({ name, title, text, fields, types = {} }) =>
  [
    `### ${title}: \`${name}\``,
    text,
    table(fields),
    ...Object.entries(types).flatMap(([type, { text, fields }]) => [`**${type}**: ${text}`, table(fields)]),
  ].join('\n\n');

const written = readFileSync(join(root, 'docs/events.md'), 'utf8');
export const eventsDocument = `${written.slice(0, written.indexOf(BEGIN))}${BEGIN}

A field with \`?\` is there where it is known.

${protocols.map(section).join('\n\n')}
`;
