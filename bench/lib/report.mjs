// A benchmark's rows as a table and as files.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
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

/** Row: { what, figures: { name: text }, result: text, goal, pass, note }. */
export function markdown({ title, command, machine, noise, began, rows }) {
  const lines = [
    `# ${title}`,
    '',
    `\`${command}\` · ${began}`,
    '',
    machineLine(machine),
    '',
    ...noise.warnings.map((warning) => `> ${warning}`),
    '',
    'Medians; in brackets the least and the greatest. Ratios are those of neighbouring runs.',
    '',
    '| what | figures | result | goal | |',
    '|---|---|---|---|---|',
    ...rows.map((row) => {
      const figures = Object.entries(row.figures).map(([name, text]) => `${name} ${text}`);
      return `| ${row.what} | ${figures.join('<br>')} | ${row.result} | ${goalText(row.goal)} | ${verdict(row)} |`;
    }),
    '',
    ...rows.filter(({ note }) => note).map(({ what, note }) => `- ${what}: ${note}`),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

export function line(row) {
  const figures = Object.entries(row.figures).map(([name, text]) => `${name} ${text}`);
  const goal = row.goal === undefined ? '' : `  [goal ${goalText(row.goal)}: ${row.pass ? 'pass' : 'MISS'}]`;
  return `${row.what}: ${row.result}${goal}\n    ${figures.join(' · ')}${row.note ? `\n    ${row.note}` : ''}`;
}

/** Writes <path>.json and <path>.md. */
export function write(path, report) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${path}.md`, markdown(report));
}
