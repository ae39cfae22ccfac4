// `npm run api`: writes docs/api from the docstrings: a page to read and a report to review for each public entry. `--check`
// fails where one is stale, a docstring lacks what scripts/api/rules.mjs asks for, a public type leans on one that is
// not exported, or the declarations do not compile as a user's strict program sees them.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { anchorsOf, fileOf, pageOf } from './api/pages.mjs';
import { entries, exportsOf, userProgram } from './api/program.mjs';
import { leaningOn, reportOf } from './api/report.mjs';
import { faultsOf } from './api/rules.mjs';
import { root } from './files.mjs';

const problems = [];
const check = process.argv.includes('--check');
/** Of errors and of warnings: that page is generated from the table. */
const codes = new Set(readFileSync(join(root, 'docs/errors.md'), 'utf8').match(/\bRINGTAP_[A-Z_]+\b/g));

function write(path, text) {
  const file = join(root, path);
  if ((existsSync(file) ? readFileSync(file, 'utf8') : '') === text) return;
  if (check) {
    problems.push(`${path} is stale: run \`npm run api\``);
    return;
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.log(`wrote ${path}`);
}

const program = userProgram(problems);
const checker = program.getTypeChecker();
/** The first entry is the package's own: what others export, too, is shown there. */
let home;
for (const entry of entries) {
  const exported = exportsOf(entry, checker, program);
  const own = exported.filter(({ symbol }) => !home?.symbols.has(symbol));
  problems.push(...faultsOf(entry, own, codes), ...leaningOn(entry, exported, checker));
  write(`docs/api/${fileOf(entry.name)}.api.md`, reportOf(entry, exported));
  write(`docs/api/${fileOf(entry.name)}.md`, pageOf(entry, exported, home, problems));
  home ??= {
    page: `${fileOf(entry.name)}.md`,
    symbols: new Set(exported.map(({ symbol }) => symbol)),
    anchors: anchorsOf(exported),
  };
}
for (const problem of new Set(problems)) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
