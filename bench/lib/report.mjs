// A benchmark's rows and tables as text and as files.
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { machineLine } from './machine.mjs';

/** Three significant digits, and never an exponent. */
export function figure(value) {
  if (value === undefined) return '–';
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 2));
}

/** "7.4 (7.1–7.9)" */
export function range({ median, min, max }) {
  return min === max ? figure(median) : `${figure(median)} (${figure(min)}–${figure(max)})`;
}

/** Whether a value keeps a goal such as { most: 2 } or { least: 3 }; undefined where there is none. */
export function reaches(value, goal) {
  if (goal === undefined) return undefined;
  return goal.most !== undefined ? value <= goal.most : value >= goal.least;
}

const goalText = (goal) => (goal === undefined ? '' : goal.most !== undefined ? `≤ ${goal.most}` : `≥ ${goal.least}`);
const verdict = (row) => (row.pass === undefined ? '' : row.pass ? 'pass' : '**miss**');

const cells = (texts) => `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;

/** Table: { title, note, head, rows }. */
const tableMarkdown = ({ title, note, head, rows }) => [
  `## ${title}`,
  '',
  ...(note ? [note, ''] : []),
  cells(head),
  cells(head.map(() => '---')),
  ...rows.map(cells),
  '',
];

/** The same for a terminal. */
export function tableText({ title, head, rows }) {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  return [
    `\n${title}`,
    ...all.map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    ),
    '',
  ].join('\n');
}

/** Row: { what, figures: { name: text }, result: text, goal, pass, note }. */
export function markdown(
  { title, command, host, machine, noise, began, seconds, rows, tables, skipped, comparison },
  charts,
) {
  const lines = [
    `# ${title}`,
    '',
    `\`${command}\` · ${host} · ${began} · ${seconds} s`,
    '',
    machineLine(machine),
    '',
    ...noise.warnings.map((warning) => `> ${warning}\n`),
    'Median (least–greatest); n is the number of runs. Ratios are those of neighbouring runs.',
    '',
    ...charts.flatMap(({ title, file }) => [`![${title}](${file})`, '']),
    ...(rows.length === 0 ? [] : goals(rows)),
    ...tables.flatMap(tableMarkdown),
    ...(comparison === undefined
      ? []
      : ['## Compared with an earlier report', '', ...comparison.text.map((text) => `- ${text}`), '']),
    ...(skipped.length === 0 ? [] : ['## Left out', '', ...skipped.map(({ what, reason }) => `- ${what}: ${reason}`)]),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

const goals = (rows) => [
  '## What must be reached',
  '',
  '| what | figures | result | n | goal | |',
  '|---|---|---|---|---|---|',
  ...rows.map((row) => {
    const figures = Object.entries(row.figures).map(([name, text]) => `${name} ${text}`);
    return `| ${row.what} | ${figures.join('<br>')} | ${row.result} | ${row.n ?? 1} | ${goalText(row.goal)} | ${verdict(row)} |`;
  }),
  '',
  ...rows.filter(({ note }) => note).map(({ what, note }) => `- ${what}: ${note}`),
  '',
];

export function line(row) {
  const figures = Object.entries(row.figures).map(([name, text]) => `${name} ${text}`);
  const goal = row.goal === undefined ? '' : `  [goal ${goalText(row.goal)}: ${row.pass ? 'pass' : 'MISS'}]`;
  return `${row.what}: ${row.result}${goal}\n    ${figures.join(' · ')}${row.note ? `\n    ${row.note}` : ''}`;
}

/** Writes <path>.json, <path>.md and the charts, each { name, title, draw() }, as <path>-<name>.svg. */
export async function write(path, report, charts) {
  mkdirSync(dirname(path), { recursive: true });
  const drawn = [];
  for (const { name, title, draw } of charts) {
    const file = `${path}-${name}.svg`;
    writeFileSync(file, await draw());
    drawn.push({ title, file: basename(file) });
  }
  writeFileSync(`${path}.json`, `${JSON.stringify(report, null, 1)}\n`);
  writeFileSync(`${path}.md`, markdown(report, drawn));
}
